/** The pages of docs/reference against the tables of the code, in both directions. Settings and links have files of their own. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { apiRoutes } from '../../src/admin/api/register.ts';
import type { ApiDependencies } from '../../src/admin/api/route.ts';
import { parametersOf } from '../../src/admin/api/route.ts';
import { allCommands } from '../../src/cli/commands.ts';
import { classify } from '../../src/delivery/classify.ts';
import { errorCodes } from '../../src/kit/errors.ts';
import { deadReasons } from '../../src/model/attempt.ts';
import { metricTable } from '../../src/telemetry/metric-table.ts';
import { readPage } from '../support/guide.ts';

const commands = await allCommands();

test('the page of error codes lists every code', () => {
  const listed = readPage('docs/reference/errors.md').rows('code');
  expect(listed.map(([code]) => code)).toEqual(Object.keys(errorCodes));
});

test('the page of error codes lists every reason of a dead letter', () => {
  const listed = readPage('docs/reference/errors.md').rows('reason');
  expect(listed.map(([reason]) => reason)).toEqual([...deadReasons]);
});

test('the page of the command line lists every command with its arguments', () => {
  const listed = readPage('docs/reference/command-line.md').rows('command');
  expect(listed.map(([line]) => line)).toEqual(commands.map(({ name, synopsis }) => `${name} ${synopsis}`.trim()));
});

test('the page of the API lists every request with its parameters', () => {
  const listed = readPage('docs/reference/api.md').rows('request');
  const routes = apiRoutes({} as ApiDependencies); // only a request uses them
  const declared = routes.map((route) => [
    `${route.method} ${route.path}`,
    parametersOf(route)
      .others.map(([name]) => name)
      .join(' '),
  ]);
  expect(listed.map(([request, parameters]) => [request, parameters])).toEqual(declared);
});

test('the page of requests lists what each status means', () => {
  const codes = readPage('docs/reference/requests.md').rows('status');
  const refused = codes.find(([, effect = '']) => effect.startsWith('refused'))?.[0] ?? '';
  const verdicts = Array.from({ length: 400 }, (_, index) => {
    const outcome = {
      kind: 'answered',
      status: 200 + index,
      durationMs: 1,
      excerpt: '',
      truncated: false,
      retryAfter: undefined,
      body: undefined,
    };
    const lists = { accept: [], defer: [], refuse: [] };
    return [200 + index, classify(outcome as Parameters<typeof classify>[0], undefined, { lists, now: 0 }).kind] as const;
  });
  const of = (verdict: string) => verdicts.filter(([, kind]) => kind === verdict).map(([status]) => status);
  expect(of('refused').join(', ')).toBe(refused);
  expect([of('accepted').at(0), of('accepted').at(-1)]).toEqual([200, 299]);
});

test('every metric that a guide names exists', () => {
  const modules = /^(?:mod_)?event_pusher(?:_http_(?:cloudevents|defaults|json)|_http|_gate|_tap(?:_info)?)?$/;
  const known = new Set([...Object.keys(metricTable), ...prosodyOptions()]);
  for (const page of ['README.md', ...guidePages()]) {
    const named = [...readPage(page).text.matchAll(/\b(?:mod_)?event_pusher(?:_\w+)?/g)].map(([name]) => name);
    expect(
      named.filter((name) => !known.has(name) && !modules.test(name)),
      page,
    ).toEqual([]);
  }
});

/** The names in the modules for Prosody, their options among them. */
function prosodyOptions(): readonly string[] {
  const modules = ['tap', 'gate'].map((name) => new URL(`../../plugins/prosody/mod_event_pusher_${name}.lua`, import.meta.url));
  return modules.flatMap((file) => readFileSync(file, 'utf8').match(/event_pusher_\w+/g) ?? []);
}

function guidePages(): readonly string[] {
  return readdirSync(new URL('../../docs/guides/', import.meta.url)).map((name) => `docs/guides/${name}`);
}
