// An app on atlassian-connect-express, set up as its template is, less what only costs (request log, compression).
// BENCH is JSON: {"folder", "store", "tenants"}; prints its port once it listens and its store is there.
const fs = require("fs");
const express = require("express");
const bodyParser = require("body-parser");

const bench = JSON.parse(process.env.BENCH);
process.chdir(bench.folder);
const app = express();
app.set("env", "production");
const ace = require("atlassian-connect-express");
const addon = ace(app, { config: { production: { store: bench.store, whitelist: "*.atlassian.net" } } });
app.set("port", 0);
app.use(bodyParser.json({ limit: "10mb" }));
app.use(bodyParser.urlencoded({ extended: false }));
app.use(addon.middleware());
app.post("/webhooks/issue", addon.authenticate(), (req, res) => res.status(204).end());

async function seed() {
  await addon.settings.connectionPromise;
  await addon.settings.installationMappingPromise;
  if (!bench.tenants) return;
  const rows = JSON.parse(fs.readFileSync(bench.tenants)).map(info => ({
    clientKey: info.clientKey, key: "clientInfo", val: info
  }));
  await (await addon.settings.connectionPromise).bulkCreate(rows);
}

seed().then(() => {
  const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
});
