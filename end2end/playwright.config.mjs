import { existsSync } from 'node:fs';
import { defineConfig } from '@playwright/test';

// Debian's Chromium where it is installed, otherwise the one Playwright downloads.
const debian = '/usr/bin/chromium';

export default defineConfig({
  testDir: 'tests',
  forbidOnly: !!process.env.CI,
  // A journey that passes at the second try has a bug, here or in the product.
  retries: 0,
  workers: 2,
  fullyParallel: true,
  reporter: 'list',
  timeout: 60_000,
  expect: { timeout: 10_000 },
  use: {
    locale: 'en-GB',
    timezoneId: 'Europe/Berlin',
    trace: 'retain-on-failure',
    contextOptions: { reducedMotion: 'reduce' },
    launchOptions: {
      executablePath: existsSync(debian) ? debian : undefined,
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    },
  },
  projects: [
    { name: 'script' },
    // No browser takes part in contracts with Git hosts and runtimes, so once is enough.
    { name: 'no-script', use: { javaScriptEnabled: false }, testIgnore: ['**/contract.spec.mjs', '**/openapi.spec.mjs'] },
  ],
});
