import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as json from '../../src/hooks/builtin/json.ts';
import { loadHandlers } from '../../src/hooks/load.ts';
import { type Loaded, loadInNode } from '../support/load-in-node.ts';
import { makeHandlerConfig } from '../support/make-handler.ts';

const formType = ['content-type', 'application/x-www-form-urlencoded'];
const form = 'author=alice&server=localhost&receiver=bob&message=Hi%2C+Bob%21';

const good: Record<string, [source: string, loaded: Loaded]> = {
  'named exports': [
    'export const prepareBody = ({ message }) => message.toUpperCase(); export const version = 1;',
    { wanted: true, headers: [formType], body: 'HI, BOB!' },
  ],
  'a default export': ['export default { shouldMakeReq: async () => false };', { wanted: false, headers: [formType], body: form }],
  'the helper for types, though it lies outside any node_modules': [
    "import { defineCallbacks } from 'xmpp-event-pusher/callbacks'; export const { prepareHeaders } = defineCallbacks({ prepareHeaders: () => ({ a: 'b' }) });",
    { wanted: true, headers: { a: 'b' }, body: form },
  ],
  'named functions beside, with names of their own': [
    'export const prepareBody = () => shout("hi"); export function shout(text) { return text.toUpperCase(); }',
    { wanted: true, headers: [formType], body: 'HI' },
  ],
  'values that are no functions in its default export': [
    'export default { version: 1, prepareBody: () => "x" };',
    { wanted: true, headers: [formType], body: 'x' },
  ],
  'the gate alone': ['export const gate = () => false;', { wanted: true, headers: [formType], body: form }],
  'functions of delivery alone': ['export const statusClassifier = () => 2;', { wanted: true, headers: [formType], body: form }],
};

const bad: Record<string, [source: string, message: RegExp]> = {
  'a misspelt name': ['export const should_make_req = () => true;', /exports should_make_req: did you mean shouldMakeReq\?$/],
  'a misspelt name of delivery': ['export default { HandleResponse() {} };', /exports HandleResponse: did you mean handleResponse\?$/],
  'a misspelt name of the gate': ['export const Gate = () => true;', /exports Gate: did you mean gate\?$/],
  'a name that is near a callback’s': [
    'export const prepareBody = () => "x"; export const shouldMakeRequest = () => false;',
    /exports shouldMakeRequest: did you mean shouldMakeReq\?$/,
  ],
  'a name in its default export that is near a callback’s': [
    'export default { prepareBody: () => "x", shouldMakeRequest: () => false };',
    /exports shouldMakeRequest: did you mean shouldMakeReq\?$/,
  ],
  'any other function in its default export': [
    'export default { prepareBody: () => "x", filterOut: () => false };',
    /its default export has the function filterOut, which is no callback: take it out, or export it by name$/,
  ],
  'a text where a function is meant': [
    "export const prepareBody = '';",
    /exports prepareBody, which is of type string and not a function$/,
  ],
  'none of the names': ['export const a = 1, b = 2;', /exports a, b, and none of the callbacks: shouldMakeReq, prepareHeaders/],
  'no exports': ['', /exports nothing, and none of the callbacks/],
  'a syntax error': ['const a = 1;\nexport const prepareBody = (;', /SyntaxError: .* \(\/.*\.mjs:2\)$/],
  'an error at its start': ['const a = 1;\n\nthrow new Error("no token");', /Error: no token \(file:\/\/\/.*\.mjs:3:7\)$/],
  'a missing import': ["import 'no-such-package-anywhere';", /Cannot find package 'no-such-package-anywhere' imported from \/.*\.mjs$/],
};

describe('a callback module', () => {
  let folder = '';
  const outcomes = new Map<string, Loaded | undefined>();

  beforeAll(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'callbacks-')));
    const sources = Object.entries({ ...good, ...bad }).map(([name, [source]]) => [name, source] as const);
    const urls = await Promise.all(sources.map(([, source], index) => write(join(folder, `${index}.mjs`), source)));
    const loaded = await loadInNode(urls);
    sources.forEach(([name], index) => {
      outcomes.set(name, loaded[index]);
    });
  });
  afterAll(() => rm(folder, { recursive: true }));

  test.each(Object.entries(good))('may have %s', (name, [, expected]) => {
    expect(outcomes.get(name)).toEqual(expected);
  });

  test.each(Object.entries(bad))('is refused for %s', (name, [, message]) => {
    expect(outcomes.get(name)).toEqual({ code: 'CALLBACK_LOAD_FAILED', message: expect.stringMatching(message) });
  });
});

test('a built-in module is found by its name', async () => {
  const [handler] = await loadHandlers([makeHandlerConfig({ module: { kind: 'builtin', name: 'mod_event_pusher_http_json' } })]);

  expect(handler?.callbacks.prepareBody).toBe(json.prepareBody);
  expect(handler?.builtIn).toBe(true);
});

test('all handlers’ mistakes are told at once', async () => {
  const gone = (name: string) =>
    makeHandlerConfig({ name, callbackModule: 'gone', module: { kind: 'url', url: 'file:///nowhere/gone.mjs' } });

  await expect(loadHandlers([gone('first'), makeHandlerConfig(), gone('second')])).rejects.toThrow(
    /^handler first \(gone\): cannot import file:.*\nhandler second \(gone\): cannot import file:/,
  );
});

async function write(path: string, source: string): Promise<string> {
  await writeFile(path, source);
  return pathToFileURL(path).href;
}
