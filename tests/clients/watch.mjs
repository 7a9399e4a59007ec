// Watches a run live with the npm package graphql-ws: a line per step, until the run ends.
// node watch.mjs URL KEY RUN_NUMBER [AFTER]
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [url, key, number, after = '0'] = process.argv.slice(2);
if (!url || !key || !number) {
  console.error('usage: node watch.mjs http://127.0.0.1:8080/graphql KEY RUN_NUMBER [AFTER]');
  process.exit(2);
}

const answer = await fetch(url, {
  method: 'POST',
  headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
  body: JSON.stringify({ query: 'query ($n: Int!) { run(number: $n) { id } }', variables: { n: Number(number) } }),
});
const { data, errors } = await answer.json();
if (!data?.run) {
  console.error(errors?.[0]?.message ?? `there is no run with the number ${number}`);
  process.exit(1);
}

const client = createClient({
  url: url.replace(/^http/, 'ws'),
  webSocketImpl: WebSocket,
  connectionParams: { authorization: `Bearer ${key}` },
});
const steps = client.iterate({
  query: `subscription ($run: ID!, $after: Int!) {
    runSteps(runId: $run, after: $after) { cursor step { index title endedAt ... on ThinkingStep { thinking } } }
  }`,
  variables: { run: data.run.id, after: Number(after) },
});
for await (const { data, errors } of steps) {
  if (errors) throw new Error(errors[0].message);
  const { cursor, step } = data.runSteps;
  console.log(`${cursor}\t${step.index}\t${step.endedAt ? 'done' : 'open'}\t${step.title}${step.thinking ? `: ${step.thinking}` : ''}`);
}
await client.dispose();
