import { onTestFinished } from 'vitest';
import { writeConfig } from '../config/write-config.ts';
import { type Admission, startAdminRig } from '../support/admin-rig.ts';
import { type CliEnd, runCli } from '../support/run-cli.ts';

/** A listener as a service has one, and the built command line that finds it through a configuration file. */
export async function startOperated(admission: Admission = {}) {
  const rig = await startAdminRig(admission);
  const token = admission.token === undefined ? '' : `token = "${admission.token}"`;
  // The secret of the attachment cannot be resolved, and need not be: these commands read [admin] alone.
  const config = await writeConfig(`
    [admin]
    listen = "${admission.host ?? '127.0.0.1'}:${rig.port}"
    ${token}
    [attach.chat]
    secret = "\${NO_SUCH_VARIABLE}"`);

  return {
    ...rig,
    config,
    url: `http://127.0.0.1:${rig.port}`,
    operate: (...args: readonly string[]): Promise<CliEnd> => runCli([...args, '--config', config]),
    /** The ids of the dead letters that are left. */
    left: async () => (await rig.spool.deadLetters({}, { limit: 1000 })).map(({ id }) => id),
  };
}

/** Keeps the clock of what the command line prints at UTC for one test. */
export function inUtc(): void {
  const before = process.env['TZ'];
  process.env['TZ'] = 'UTC';
  onTestFinished(() => {
    if (before === undefined) delete process.env['TZ'];
    else process.env['TZ'] = before;
  });
}
