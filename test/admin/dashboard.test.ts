import { describe, expect, test } from 'vitest';
import { startAdminRig } from '../support/admin-rig.ts';
import { ask, type Question } from './ask.ts';

const asPage = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };
const asJson = { 'content-type': 'application/json' };

async function startDashboard(admission: Parameters<typeof startAdminRig>[0] = {}) {
  const { port } = await startAdminRig(admission);
  const own = `http://127.0.0.1:${port}`;
  return { own, asked: (question: Question) => ask(port, question) };
}

/** A browser that has signed in with the token. */
async function signedIn(admission: Parameters<typeof startAdminRig>[0] = { token: 'sesame', host: '0.0.0.0' }) {
  const rig = await startDashboard(admission);
  const body = JSON.stringify({ token: 'sesame' });
  const { status, headers } = await rig.asked({ path: '/session', method: 'POST', headers: { ...asJson, origin: rig.own }, body });
  expect(status).toBe(204);
  return { ...rig, cookie: headers['set-cookie']?.[0]?.split(';')[0] ?? '' };
}

describe('the page', () => {
  test('has no data, and allows no script, frame or request of another origin', async () => {
    const { asked } = await startDashboard({ token: 'sesame', host: '0.0.0.0' });
    const { status, headers, body } = await asked({ path: '/', headers: asPage });
    expect([status, headers['content-type'], headers['cache-control']]).toEqual([200, 'text/html; charset=utf-8', 'no-store']);
    expect(headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self';/);
    expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
    expect(headers['content-security-policy']).not.toMatch(/unsafe|\*|https?:/);
    expect(body).not.toMatch(/<script(?![^>]* src=)|<style|style=|https?:/);
  });

  test('has its files, and nothing else of the folder or above it', async () => {
    const { asked } = await startDashboard();
    for (const [name, type] of [
      ['main.js', 'text/javascript'],
      ['style.css', 'text/css'],
      ['icon.svg', 'image/svg+xml'],
    ]) {
      const { status, headers } = await asked({ path: `/dashboard/${name}` });
      expect([status, headers['content-type']?.split(';')[0], headers['x-content-type-options']], name).toEqual([200, type, 'nosniff']);
    }
    for (const name of [
      'build.mjs',
      'tsconfig.json',
      '..%2fpackage.json',
      '%2e%2e%2fpackage.json',
      'vendor/..%2fmain.js',
      'none.js',
      `${'a'.repeat(400)}.js`,
    ]) {
      expect((await asked({ path: `/dashboard/${name}` })).status, name).toBe(404);
    }
    expect((await asked({ path: '/dashboard/main.js', method: 'POST', headers: asJson, body: '{}' })).status).toBe(405);
  });

  test('is served under any name if there is a token to ask for, and else under known names only', async () => {
    const withToken = await startDashboard({ token: 'sesame' });
    const foreign = { ...asPage, host: 'pusher.example' };
    expect((await withToken.asked({ path: '/', headers: foreign })).status).toBe(200);
    expect((await withToken.asked({ path: '/api/v1/status', headers: foreign })).status).toBe(421);
    const open = await startDashboard();
    expect((await open.asked({ path: '/', headers: foreign })).status).toBe(421);
  });

  test('programs get the list of addresses instead', async () => {
    const { asked } = await startDashboard({ token: 'sesame', host: '0.0.0.0' });
    expect((await asked({ path: '/' })).status).toBe(401);
    const { status, body } = await asked({ path: '/', headers: { authorization: 'Bearer sesame' } });
    expect([status, Object.keys(JSON.parse(body).addresses)]).toEqual([
      200,
      ['/', '/api/v1/openapi.json', '/healthz', '/metrics', '/readyz'],
    ]);
  });
});

describe('signing in', () => {
  test('gives access with content, until the browser signs out', async () => {
    const { asked, cookie, own } = await signedIn();
    expect((await asked({ path: '/api/v1/status' })).status).toBe(401);
    const { status, body } = await asked({ path: '/api/v1/status', headers: { cookie } });
    expect([status, JSON.parse(body).caller]).toEqual([200, { name: '', operate: true, content: true, signedIn: true }]);
    const out = await asked({ path: '/session', method: 'DELETE', headers: { cookie, origin: own } });
    expect([out.status, out.headers['set-cookie']?.[0]]).toEqual([204, expect.stringContaining('Max-Age=0')]);
  });

  test('is refused with another token, without one, and if none is configured', async () => {
    const { asked, own } = await startDashboard({ token: 'sesame', host: '0.0.0.0' });
    const post = (body: string) => asked({ path: '/session', method: 'POST', headers: { ...asJson, origin: own }, body });
    const wrong = await post('{"token":"open"}');
    expect([wrong.status, JSON.parse(wrong.body).code, wrong.headers['set-cookie']]).toEqual([403, 'WRONG_TOKEN', undefined]);
    for (const body of ['{}', '{"token":7}', '[]', 'null', `{"token":"${'x'.repeat(5000)}"}`])
      expect((await post(body)).status, body.slice(0, 20)).toBe(400);
    const none = await startDashboard();
    const { status, body } = await none.asked({ path: '/session', method: 'POST', headers: asJson, body: '{"token":"open"}' });
    expect([status, JSON.parse(body).code]).toEqual([404, 'NO_TOKEN']);
  });

  test('lets only pages of this listener change anything', async () => {
    const { asked, cookie, own } = await signedIn();
    const pause = (headers: Record<string, string>) =>
      asked({ path: '/api/v1/pools/pool/pause', method: 'POST', headers: { cookie, ...headers } });
    expect((await pause({ origin: 'http://127.0.0.1:1' })).status).toBe(403);
    expect((await pause({ origin: 'null' })).status).toBe(403);
    expect((await pause({})).status).toBe(403);
    expect((await pause({ origin: own })).status).toBe(200);
    expect((await asked({ path: '/session', method: 'DELETE', headers: { cookie, origin: 'http://evil.example' } })).status).toBe(403);
  });

  test('marks the cookie as secure behind a proxy with TLS', async () => {
    const { asked } = await startDashboard({ token: 'sesame', host: '0.0.0.0' });
    const headers = { ...asJson, host: 'pusher.example', origin: 'https://pusher.example' };
    const answer = await asked({ path: '/session', method: 'POST', headers, body: '{"token":"sesame"}' });
    expect([answer.status, answer.headers['set-cookie']?.[0]]).toEqual([204, expect.stringContaining('; Secure')]);
    const cookie = answer.headers['set-cookie']?.[0]?.split(';')[0] ?? '';
    expect((await asked({ path: '/api/v1/status', headers: { host: 'pusher.example', cookie } })).status).toBe(200);
  });
});
