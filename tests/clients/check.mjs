// What public tools say of a running Stint: the official GraphQL over HTTP audit, and graphql-js on the schema.
// node check.mjs URL KEY SCHEMA_FILE
import { readFileSync } from 'node:fs';
import { buildClientSchema, buildSchema, findBreakingChanges, getIntrospectionQuery, specifiedDirectives } from 'graphql';
import { serverAudits } from 'graphql-http';

const [url, key, file] = process.argv.slice(2);
const authorized = (input, init = {}) =>
  fetch(input, { ...init, headers: { ...init.headers, authorization: `Bearer ${key}` } });

let failed = 0;
for (const audit of serverAudits({ url, fetchFn: authorized })) {
  const result = await audit.fn();
  if (result.status === 'ok') continue;
  console.log(`${result.status.toUpperCase()} ${result.id} ${result.name}: ${result.reason}`);
  // A notice is the audit's word for something that is allowed both ways.
  if (result.status !== 'notice') failed += 1;
}

const answer = await authorized(url, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ query: getIntrospectionQuery() }),
});
const { data, errors } = await answer.json();
if (errors) throw new Error(errors[0].message);
const [served, written] = [buildClientSchema(data), buildSchema(readFileSync(file, 'utf8'))];
// Where the language's own directives may stand is as this side's library has it, which is newer or older than the server's.
const own = ({ description }) => specifiedDirectives.some(({ name }) => description.endsWith(` was removed from ${name}.`));
for (const change of [...findBreakingChanges(written, served), ...findBreakingChanges(served, written)]) {
  if (own(change)) continue;
  console.log(`SCHEMA ${change.description}`);
  failed += 1;
}
console.log(`audit and schema: ${failed} failed`);
process.exit(failed ? 1 : 0);
