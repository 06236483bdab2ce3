// Usage: node audit.mjs http://127.0.0.1:8000/graphql
//
// Runs graphql-http's audits of the GraphQL over HTTP specification, and a few operations with graphql-ws's
// client over WebSocket. Prints what fails, then a summary; the exit status is 1 if anything did. The server
// must answer introspection and must not ask for credentials for { __typename }.
import { serverAudits } from 'graphql-http';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const url = process.argv[2];
if (!url) {
  console.error('usage: node audit.mjs URL');
  process.exit(2);
}

async function auditHttp() {
  const results = await Promise.all(serverAudits({ url }).map((audit) => audit.fn()));
  for (const result of results.filter((each) => each.status !== 'ok')) {
    console.log(`${result.status} ${result.id} ${result.name}: ${result.reason}`);
  }
  return { ok: results.filter((each) => each.status === 'ok').length, all: results.length };
}

function run(client, query) {
  return new Promise((resolve) => {
    const results = [];
    client.subscribe(
      { query },
      {
        next: (result) => results.push(result),
        error: (error) => resolve({ results, error }),
        complete: () => resolve({ results }),
      },
    );
  });
}

async function auditWebSocket() {
  const client = createClient({
    url: url.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    lazy: false,
    onNonLazyError: (error) => console.log(`error WebSocket: ${error}`),
  });
  const checks = [
    ['a query answers once and completes', '{ __typename }', ({ results, error }) =>
      !error && results.length === 1 && results[0].data.__typename === 'Query'],
    ['a syntax error answers with error', '{', ({ results, error }) =>
      results.length === 0 && Array.isArray(error) && error[0].message.startsWith('Syntax Error')],
    ['the socket survives it', '{ again: __typename }', ({ results, error }) =>
      !error && results[0].data.again === 'Query'],
  ];
  let ok = 0;
  for (const [name, query, holds] of checks) {
    const outcome = await run(client, query);
    if (holds(outcome)) ok += 1;
    else console.log(`error WebSocket: ${name}: ${JSON.stringify(outcome)}`);
  }
  await client.dispose();
  return { ok, all: checks.length };
}

const http = await auditHttp();
const webSocket = await auditWebSocket();
console.log(`GraphQL over HTTP: ${http.ok} of ${http.all} audits passed`);
console.log(`graphql-transport-ws: ${webSocket.ok} of ${webSocket.all} checks passed`);
process.exit(http.ok === http.all && webSocket.ok === webSocket.all ? 0 : 1);
