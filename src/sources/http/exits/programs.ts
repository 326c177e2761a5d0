import type { Descriptor, ExitsAttachment } from '../../../config/config.ts';
import type { Outbox } from '../../source.ts';
import type { Exit } from './exit.ts';
import type { CallModule, ModuleCaller, UserModules } from './module-call.ts';
import { createModuleExit } from './module-exit.ts';
import { createModuleUnit } from './module-unit.ts';
import { noneExit } from './none-exit.ts';
import { createPushUnit, type PushOptions } from './push-unit.ts';
import type { Programs } from './run-service.ts';
import { createSendUnit } from './send-unit.ts';
import { createStatusUnit, type StatusCheck } from './status-unit.ts';
import { createSystemExit } from './system-exit.ts';
import type { Unit } from './unit.ts';

export interface ProgramsOptions extends Pick<PushOptions, 'hand' | 'newPacketId' | 'readJid'> {
  readonly attachment: ExitsAttachment;
  readonly modules: UserModules;
  readonly callModule: ModuleCaller;
  readonly checks: () => readonly StatusCheck[];
  readonly outbox: Outbox | undefined;
}

/** `status` is that of a response which says nothing else. */
export type ReadyPrograms = Programs & { readonly status: number };

/** Gives the exit and the unit of each descriptor of an attachment, made once. */
export function createPrograms(options: ProgramsOptions): (descriptor: Descriptor) => ReadyPrograms {
  const made = new Map(options.attachment.descriptors.map((descriptor) => [descriptor.name, programsOf(descriptor, options)]));
  return ({ name }) => {
    const programs = made.get(name);
    if (programs === undefined) throw new Error(`no descriptor ${name}`); // it comes out of the same list
    return programs;
  };
}

function programsOf(descriptor: Descriptor, options: ProgramsOptions): ReadyPrograms {
  const { attachment, callModule } = options;
  const of = `${attachment.name}/${descriptor.name}`;
  const call: CallModule = (what, id, invoke) => callModule({ of, what, id, invoke });
  const pushes = descriptor.unit.kind === 'builtin' && descriptor.unit.name === 'PUSH';
  return { exit: exitOf(descriptor, options, call), unit: unitOf(descriptor, options, call), status: pushes ? 202 : 200 };
}

function exitOf(descriptor: Descriptor, { attachment, modules }: ProgramsOptions, call: CallModule): Exit {
  const { exit } = descriptor;
  switch (exit.kind) {
    case 'module':
      return createModuleExit(loaded(modules, exit.url), call);
    case 'none':
      return noneExit;
    case 'system':
      return createSystemExit(descriptor, attachment.hosts[0] ?? '');
    default:
      return exit satisfies never;
  }
}

function unitOf({ unit }: Descriptor, options: ProgramsOptions, call: CallModule): Unit {
  if (unit.kind === 'module') return createModuleUnit(loaded(options.modules, unit.url), call);
  const { name } = unit;
  switch (name) {
    case 'PUSH':
      return createPushUnit({ ...options, hosts: options.attachment.hosts });
    case 'SENDMSG':
      return createSendUnit(options);
    case 'STATUS':
      return createStatusUnit(options.checks);
    default:
      return name satisfies never;
  }
}

function loaded(modules: UserModules, url: string) {
  const main = modules.get(url);
  if (main === undefined) throw new Error(`${url} is not loaded`); // the composition root loads what the configuration names
  return main;
}
