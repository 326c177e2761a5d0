import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { hangMs } from './eventually.ts';

/** Debian's Chromium. */
const executablePath = '/usr/bin/chromium';

/** A browser and what its pages complained about. */
export interface TestBrowser extends AsyncDisposable {
  /** A page in a fresh profile. */
  open(address: string, options?: BrowserContextOptions): Promise<Page>;
  /** Closes all pages: an open page continues to ask a service that has ended. */
  closePages(): Promise<void>;
  /** Errors of scripts and violations of the content security policy. */
  readonly complaints: readonly string[];
}

export async function startBrowser(): Promise<TestBrowser> {
  const browser: Browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  const complaints: string[] = [];

  async function open(address: string, options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(hangMs);
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      // The browser itself reports each request without a good answer; the tests cause these.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) complaints.push(message.text());
    });
    await page.goto(address);
    return page;
  }

  async function closePages(): Promise<void> {
    for (const context of browser.contexts()) await context.close();
  }

  return { open, closePages, complaints, [Symbol.asyncDispose]: () => browser.close() };
}
