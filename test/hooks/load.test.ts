import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { importBuilt } from '../support/built.ts';
import { type Loaded, loadInNode } from '../support/load-in-node.ts';
import { makeHandlerConfig } from '../support/make-handler.ts';

const json = await importBuilt<typeof import('../../src/hooks/builtin/json.ts')>('src/hooks/builtin/json.js');
const { callbacksIn, loadHandlers } = await importBuilt<typeof import('../../src/hooks/load.ts')>('src/hooks/load.js');

const formType = ['content-type', 'application/x-www-form-urlencoded'];
const form = 'author=alice&server=localhost&receiver=bob&message=Hi%2C+Bob%21';

const good: Record<string, [source: string, loaded: Loaded]> = {
  'named exports': [
    'export const prepareBody = ({ message }) => message.toUpperCase(); export const version = 1;',
    { wanted: true, headers: [formType], body: 'HI, BOB!' },
  ],
  'a default export': ['export default { shouldMakeReq: async () => false };', { wanted: false, headers: [formType], body: form }],
  'the helper for types, although it is outside any node_modules': [
    "import { defineCallbacks } from 'xmpp-event-pusher/callbacks'; export const { prepareHeaders } = defineCallbacks({ prepareHeaders: () => ({ a: 'b' }) });",
    { wanted: true, headers: { a: 'b' }, body: form },
  ],
  'other named functions': [
    'export const prepareBody = () => shout("hi"); export function shout(text) { return text.toUpperCase(); }',
    { wanted: true, headers: [formType], body: 'HI' },
  ],
  'values in its default export': [
    'export default { version: 1, prepareBody: () => "x" };',
    { wanted: true, headers: [formType], body: 'x' },
  ],
  'only the gate': ['export const gate = () => false;', { wanted: true, headers: [formType], body: form }],
  'only callbacks at delivery': ['export const statusClassifier = () => 2;', { wanted: true, headers: [formType], body: form }],
};

const bad: Record<string, [source: string, message: RegExp]> = {
  'a misspelt name': ['export const should_make_req = () => true;', /exports should_make_req: did you mean shouldMakeReq\?$/],
  'a misspelt callback at delivery': ['export default { HandleResponse() {} };', /exports HandleResponse: did you mean handleResponse\?$/],
  'a misspelt gate': ['export const Gate = () => true;', /exports Gate: did you mean gate\?$/],
  'a name similar to a callback': [
    'export const prepareBody = () => "x"; export const shouldMakeRequest = () => false;',
    /exports shouldMakeRequest: did you mean shouldMakeReq\?$/,
  ],
  'a name in its default export similar to a callback': [
    'export default { prepareBody: () => "x", shouldMakeRequest: () => false };',
    /exports shouldMakeRequest: did you mean shouldMakeReq\?$/,
  ],
  'any other function in its default export': [
    'export default { prepareBody: () => "x", filterOut: () => false };',
    /its default export has the function filterOut, which is not a callback: remove it, or export it by name$/,
  ],
  'a string in place of a function': ["export const prepareBody = '';", /exports prepareBody, which is of type string and not a function$/],
  'no callback': ['export const a = 1, b = 2;', /exports a, b, and none of the callbacks: shouldMakeReq, prepareHeaders/],
  'no exports': ['', /exports nothing, and none of the callbacks/],
  'a syntax error': ['const a = 1;\nexport const prepareBody = (;', /SyntaxError: .* \(\/.*\.mjs:2\)$/],
  'an error while it loads': ['const a = 1;\n\nthrow new Error("no token");', /Error: no token \(file:\/\/\/.*\.mjs:3:7\)$/],
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
  expect(handler?.builtIn).toBeDefined();
});

test('the problems of all handlers are reported together', async () => {
  const gone = (name: string) =>
    makeHandlerConfig({ name, callbackModule: 'gone', module: { kind: 'url', url: 'file:///nowhere/gone.mjs' } });

  await expect(loadHandlers([gone('first'), makeHandlerConfig(), gone('second')])).rejects.toThrow(
    /^handler first \(gone\): cannot import file:.*\nhandler second \(gone\): cannot import file:/,
  );
});

describe('the exports of a module', () => {
  const prepareBody = () => 'x';
  const helper = () => 'y';

  test('other functions that are exported by name are listed with the callbacks', () => {
    expect(callbacksIn({ prepareBody, helper, version: 1 })).toEqual({ callbacks: { prepareBody }, uncalled: ['helper'] });
  });

  test.each([
    ['shouldMakeRequest', 'shouldMakeReq'],
    ['shouldMakeReqs', 'shouldMakeReq'],
    ['prepareHeader', 'prepareHeaders'],
    ['buildRequests', 'buildRequest'],
    ['dispose_permfail', 'disposePermfail'],
  ])('%s is refused, exported by name or by default, with the hint %s', (name, intended) => {
    const problems = [`it exports ${name}: did you mean ${intended}?`];
    expect(callbacksIn({ prepareBody, [name]: helper })).toEqual({ problems });
    expect(callbacksIn({ default: { prepareBody, [name]: helper } })).toEqual({ problems });
  });

  test('another function in a default export is refused, also if it is exported by name', () => {
    const problems = ['its default export has the function helper, which is not a callback: remove it, or export it by name'];
    expect(callbacksIn({ default: { prepareBody, helper } })).toEqual({ problems });
    expect(callbacksIn({ helper, default: { prepareBody, helper } })).toEqual({ problems });
  });

  test('a value that is not a function may have any name', () => {
    expect(callbacksIn({ default: { prepareBody, gates: 3 }, prepareHeader: 'x' })).toEqual({ callbacks: { prepareBody }, uncalled: [] });
  });

  test('callbacks at delivery are found too', () => {
    const buildRequest = () => 0;
    const disposeDelivery = () => undefined;

    expect(callbacksIn({ buildRequest, other: 1, default: { disposeDelivery } })).toEqual({
      callbacks: { buildRequest, disposeDelivery },
      uncalled: [],
    });
  });
});

async function write(path: string, source: string): Promise<string> {
  await writeFile(path, source);
  return pathToFileURL(path).href;
}

test('an import whose top-level await does not end is given up', async () => {
  const { importInTime } = await importBuilt<typeof import('../../src/hooks/import-module.ts')>('src/hooks/import-module.js');
  const module = (source: string) => `data:text/javascript,${encodeURIComponent(source)}`;
  await expect(importInTime(module('export const one = await Promise.resolve(1);'), 60_000)).resolves.toMatchObject({ one: 1 });
  const waiting = importInTime(module('await new Promise(() => undefined); export const one = 1;'), 10);
  await expect(waiting).rejects.toThrow('its top-level await did not end within 0.01 s');
});
