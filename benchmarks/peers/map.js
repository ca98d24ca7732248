// The least an app can do: Express, atlassian-jwt and a Map in memory; no storage, no record.
// BENCH is JSON: {"tenants"}; prints its port.
const fs = require("fs");
const express = require("express");
const bodyParser = require("body-parser");
const jwt = require("atlassian-jwt");

const bench = JSON.parse(process.env.BENCH);
const secrets = new Map(JSON.parse(fs.readFileSync(bench.tenants)).map(info => [info.clientKey, info.sharedSecret]));
const app = express();
app.set("env", "production");
app.use(bodyParser.json({ limit: "10mb" }));

app.post("/webhooks/issue", (req, res) => {
  try {
    const token = (req.headers.authorization || "").slice(4);
    const claimed = jwt.decodeSymmetric(token, "", jwt.SymmetricAlgorithm.HS256, true);
    const claims = jwt.decodeSymmetric(token, secrets.get(claimed.iss), jwt.SymmetricAlgorithm.HS256);
    const qsh = jwt.createQueryStringHash(jwt.fromExpressRequest(req), false, "https://app.example.com");
    if (claims.qsh !== qsh || claims.exp <= Date.now() / 1000) throw new Error("no");
    res.status(204).end();
  } catch (error) {
    res.status(401).end();
  }
});

const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
