#!/usr/bin/env node
/** The program. It loads the command line only if this Node.js can run it: an older one would fail with the stack trace of a library. */
import { requiredNode } from '../kit/package-file.ts';
import { complaintAboutNode } from './node-version.ts';

const complaint = complaintAboutNode(process.versions.node, { required: requiredNode(), program: process.execPath });
if (complaint !== undefined) {
  process.stderr.write(`event-pusher: ${complaint}\n`);
  process.exit(1);
}
const { runCommandLine } = await import('./command-line.ts');
process.exit(await runCommandLine(process.argv.slice(2)));
