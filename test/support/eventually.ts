/** A wait of a test that has lasted this long has hung: no speed is bounded, since other work may share the machine. */
export const hangMs = 60_000;

/** Polls `check` every 10 ms until it neither throws nor gives false; after `withinMs` the last failure is thrown. */
export async function eventually(check: () => unknown, { withinMs = hangMs }: { readonly withinMs?: number } = {}): Promise<void> {
  const giveUpAt = performance.now() + withinMs;
  for (;;) {
    try {
      if ((await check()) !== false) return;
      if (performance.now() > giveUpAt) throw new Error(`not true within ${withinMs} ms: ${check}`);
    } catch (error) {
      if (performance.now() > giveUpAt) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
