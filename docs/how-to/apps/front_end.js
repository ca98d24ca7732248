// In the page that Jira loaded in its iframe, after Atlassian's all.js: every call of the app's own routes takes a
// fresh token. getToken answers from its cache while that one is good, so asking each time costs nothing.
async function call(path, options = {}) {
  const token = await AP.context.getToken();
  const headers = { ...options.headers, Authorization: `JWT ${token}` };
  const answer = await fetch(path, { ...options, headers });
  if (answer.status === 425 || answer.status === 503) {
    const seconds = Number(answer.headers.get("Retry-After")) || 5;
    await new Promise((done) => setTimeout(done, seconds * 1000));
    return call(path, options);
  }
  if (answer.status === 401) {
    throw new Error(`refused, decision ${answer.headers.get("X-Tenure-Decision")}`);
  }
  return answer;
}
