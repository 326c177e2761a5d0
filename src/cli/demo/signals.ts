const ending = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const;

/** Aborted by the first Ctrl-C, SIGTERM or hang-up; a second one ends the process at once. */
export function obeySignals(): AbortSignal {
  const controller = new AbortController();
  for (const name of ending) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(1);
      controller.abort(new Error(`stopped by ${name}`));
    });
  }
  return controller.signal;
}
