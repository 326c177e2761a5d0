/**
 * The Debian package's unit under a real systemd, in a copy of this machine. It builds the package, which takes minutes, so it runs only on request:
 * `DEBIAN_PACKAGE=1 npx vitest run test/deploy/systemd-run.test.ts`, as root and after `npm run build`.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { canStartSystemd, type SystemdMachine, startSystemdMachine } from '../support/systemd-machine.ts';

const canRun = await canStartSystemd();

const config = `
[general]
hosts = ["mim.example"]
[attach.mim]
type = "http"
listen = "127.0.0.1:8080"
hosts = ["mim.example"]
username = "mim"
password = "p"
[outgoing_pools.http.http_pool]
retry.schedule = ["1s", "1s", "1s", "1s", "1s", "1s", "1s", "1s", "1s", "1s", "1s", "1s", "1s", "1s", "1s", "1s", "1s", "1s", "1s", "1s"]
[outgoing_pools.http.http_pool.connection]
host = "http://127.0.0.1:8000"
[modules.mod_event_pusher.backend.http]
name = "push"
[history]
enabled = true
[spool]
path = "/var/lib/event-pusher/spool.sqlite"
`;

const backend = `require("node:http").createServer((request, response) => {
  let body = "";
  request.on("data", (part) => { body += part; }).on("end", () => { console.log(body); response.end(); });
}).listen(8000, "127.0.0.1")`;

const post = (message: string) =>
  `curl --silent --fail --user mim:p --data 'author=alice&server=mim.example&receiver=bob&message=${message}' http://127.0.0.1:8080/`;

test.skipIf(!canRun)(
  'starts, reloads, restarts after a kill and after a stall, keeps what waits, and stops',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'unit-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    await promisify(execFile)(fileURLToPath(new URL('../../deploy/debian/build.sh', import.meta.url)), [folder]);
    const [built = ''] = (await readdir(folder)).filter((name) => name.endsWith('.deb'));
    await using machine = await startSystemdMachine([join(folder, built)]);

    await machine.run(`cat >/etc/event-pusher/event-pusher.toml <<'END'\n${config}\nEND\nsystemctl start event-pusher`);
    expect(await shown(machine, 'ActiveState', 'StatusText', 'NRestarts')).toEqual(['active', 'running', '0']);
    const status = await machine.run('cat /proc/$(systemctl show event-pusher --property MainPID --value)/status');
    expect(status).toMatch(/^Uid:\t(?!0\t)/m);
    expect(status).toMatch(/^CapBnd:\t0+$/m);
    expect(status).toMatch(/^NoNewPrivs:\t1\nSeccomp:\t2$/m);
    expect(await machine.run('stat --format "%a %U" /var/lib/event-pusher /var/lib/event-pusher/spool.sqlite')).toBe(
      '700 event-pusher\n600 event-pusher\n',
    );

    await machine.run('systemctl reload event-pusher');
    await eventually(async () => expect(await journal(machine)).toContain('"event":"config.reload","result":"applied"'));

    await machine.run(post('waits'));
    await machine.run('systemctl kill --signal KILL event-pusher');
    await eventually(async () => expect(await shown(machine, 'ActiveState', 'NRestarts')).toEqual(['active', '1']));
    await machine.run(`systemd-run --unit backend node -e '${backend}'`);
    await eventually(async () => expect(await machine.run('journalctl --unit backend --output cat')).toContain('message=waits'));

    await machine.run(`mkdir /run/systemd/system/event-pusher.service.d
      printf '[Service]\\nWatchdogSec=8s\\n' >/run/systemd/system/event-pusher.service.d/watchdog.conf
      systemctl daemon-reload; systemctl restart event-pusher; systemctl kill --signal STOP event-pusher`);
    await eventually(async () => expect(await shown(machine, 'ActiveState', 'NRestarts')).toEqual(['active', '1']));
    expect(await machine.run('journalctl --unit event-pusher')).toContain('Watchdog timeout');

    await machine.run('systemctl stop event-pusher');
    expect(await shown(machine, 'ActiveState', 'Result', 'ExecMainStatus')).toEqual(['inactive', 'success', '0']);
    expect(await journal(machine)).toContain('"event":"stopping","signal":"SIGTERM"');

    await machine.run('printf "%4096s" damage >/var/lib/event-pusher/spool.sqlite; systemctl start event-pusher');
    expect(await shown(machine, 'ActiveState', 'StatusText')).toEqual(['active', expect.stringMatching(/^not running: .* is damaged/)]);
    expect(await machine.run('systemd-analyze verify event-pusher.service')).toBe('');
    expect(await machine.run('systemctl --failed --no-legend')).toBe('');
  },
  1_200_000,
);

function journal(machine: SystemdMachine): Promise<string> {
  return machine.run('journalctl --unit event-pusher --output cat');
}

async function shown(machine: SystemdMachine, ...properties: readonly string[]): Promise<readonly string[]> {
  const values = properties.map((property) => `systemctl show event-pusher --property ${property} --value`);
  return (await machine.run(values.join('\n'))).trimEnd().split('\n');
}
