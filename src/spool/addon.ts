import Database from 'better-sqlite3';
import { ServiceError, toError } from '../kit/errors.ts';

/**
 * Loads the native part of better-sqlite3. Throws SPOOL_ADDON_FAILED if it is missing, or was built for another version of Node.js, as after
 * an upgrade of Node.js: `NODE_MODULE_VERSION` in the reason of the error helps no operator.
 */
export function requireAddon(): void {
  try {
    new Database(':memory:').close();
  } catch (thrown) {
    const [reason = ''] = toError(thrown).message.split('\n', 1);
    throw new ServiceError(
      'SPOOL_ADDON_FAILED',
      `the native part of better-sqlite3 cannot be loaded by Node.js ${process.versions.node} (${reason}): install the package again ` +
        'with this Node.js, or run "npm rebuild better-sqlite3" in its folder',
      { cause: thrown },
    );
  }
}
