import { expect, test } from 'vitest';
import { Sessions } from '../../src/admin/session.ts';
import { Secret } from '../../src/kit/secret.ts';
import { createFakeClock } from '../support/fake-clock.ts';

function startSessions(token = 'sesame') {
  const clock = createFakeClock();
  return { clock, token: new Secret(token), sessions: new Sessions({ token: new Secret(token), clock }) };
}

function cookieIn(header: string | undefined): string {
  return header?.split(';')[0] ?? '';
}

test('the token opens a session that no script can read and no other site can use', () => {
  const { sessions } = startSessions();
  expect(sessions.open('sesam', { secure: false })).toBeUndefined();
  const header = sessions.open('sesame', { secure: true });
  expect(header).toMatch(/^event_pusher_[0-9a-f]{8}=\d+\.[\w-]{43}; Path=\/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure$/);
  expect(header).not.toContain('sesame');
  expect(sessions.isOpen(`other=1; ${cookieIn(header)}; more=2`)).toBe(true);
});

test('a session ends after twelve hours, survives a restart, and ends with its token', () => {
  const { clock, token, sessions } = startSessions();
  const cookie = cookieIn(sessions.open('sesame', { secure: false }));
  expect(new Sessions({ token, clock }).isOpen(cookie)).toBe(true);
  expect(startSessions('another').sessions.isOpen(cookie)).toBe(false);
  clock.advance(12 * 3_600_000 - 1000);
  expect(sessions.isOpen(cookie)).toBe(true);
  clock.advance(1000);
  expect(sessions.isOpen(cookie)).toBe(false);
});

test('a forged or mangled cookie opens nothing', () => {
  const { sessions } = startSessions();
  const cookie = cookieIn(sessions.open('sesame', { secure: false }));
  const [name = '', value = ''] = cookie.split('=');
  const [endsAt = '', signature = ''] = value.split('.');
  const forged = [
    `${Number(endsAt) + 1}.${signature}`,
    `${endsAt}.${'A'.repeat(43)}`,
    `${endsAt}.`,
    endsAt,
    '',
    `${value}x`,
    `9e99.${signature}`,
  ];
  for (const each of forged) expect(sessions.isOpen(`${name}=${each}`), each).toBe(false);
  expect(sessions.isOpen(undefined)).toBe(false);
  expect(sessions.isOpen(`${'x=1;'.repeat(100)}${cookie}`)).toBe(false);
  expect(cookieIn(sessions.close())).toBe(`${name}=`);
});
