// Drives Chromium for the Go tests: one JSON command per line comes in, one answer per line goes out. A command
// is {do, ...}; its answer is {ok: value} or {error: text}.
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';

const { chromium } = createRequire(process.env.PLAYWRIGHT + '/')('playwright-core');
// Chromium's own sandbox takes no root, which is what tests in a container are.
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox'] });
const complaints = [];
process.on('unhandledRejection', (error) => console.error('driver:', error)); // such as of a page that closes meanwhile
let context, page, cdp, authenticator;

const commands = {
  // profile begins with a browser that knows nothing.
  async profile({ scripts = true, dark = false }) {
    await context?.close();
    context = await browser.newContext({ javaScriptEnabled: scripts, colorScheme: dark ? 'dark' : 'light' });
    context.setDefaultTimeout(15000);
    page = await context.newPage();
    page.on('console', (m) => { if (m.type() === 'error' && !/status of 4\d\d/.test(m.text())) complaints.push(m.text()); });
    page.on('pageerror', (e) => complaints.push(String(e)));
    cdp = await context.newCDPSession(page);
  },
  // authenticator plugs in one that is built in, has a screen lock, and says yes.
  async authenticator() {
    await cdp.send('WebAuthn.enable', { enableUI: false });
    const options = {
      protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true,
      isUserVerified: true, automaticPresenceSimulation: true,
    };
    authenticator = (await cdp.send('WebAuthn.addVirtualAuthenticator', { options })).authenticatorId;
  },
  credentials: async () => (await cdp.send('WebAuthn.getCredentials', { authenticatorId: authenticator })).credentials.length,
  verifies: ({ yes }) => cdp.send('WebAuthn.setUserVerified', { authenticatorId: authenticator, isUserVerified: yes }),
  goto: async ({ url }) => (await page.goto(url)).status(),
  fill: ({ label, value, within = 'main' }) => page.locator(within).getByLabel(label).and(page.locator('input')).first().fill(value),
  press: ({ name, within = 'body' }) => page.locator(within).getByRole('button', { name, exact: true }).first().click(),
  follow: ({ name }) => page.getByRole('link', { name, exact: true }).first().click(),
  open: ({ name }) => page.getByText(name, { exact: true }).first().click(),
  see: ({ text }) => page.getByText(text, { exact: false }).first().waitFor(),
  text: () => page.locator('main').innerText(),
  texts: ({ selector }) => page.locator(selector).allInnerTexts(),
  attribute: ({ selector, name }) => page.locator(selector).first().getAttribute(name),
  type: ({ keys }) => page.keyboard.press(keys),
  focused: () => page.evaluate(() => document.activeElement?.textContent?.trim() || document.activeElement?.name || ''),
  unlabelled: () => page.evaluate(() => [...document.querySelectorAll('input:not([type=hidden]):not([hidden]), button, a')]
    .filter((e) => !(e.labels?.length || e.textContent.trim() || e.getAttribute('aria-label'))).map((e) => e.outerHTML)),
  cookies: async () => (await context.cookies()).map((c) => ({ name: c.name, httpOnly: c.httpOnly, sameSite: c.sameSite })),
  forget: () => context.clearCookies(),
  address: () => page.url(),
  picture: ({ file }) => page.screenshot({ path: file, fullPage: true }).then(() => null),
  complaints: () => complaints.splice(0),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...args } = JSON.parse(line);
  try {
    process.stdout.write(JSON.stringify({ ok: (await commands[name](args)) ?? null }) + '\n');
  } catch (error) {
    const where = page ? `\nat ${page.url()}\n${await page.locator('body').innerText().catch(() => '')}` : '';
    process.stdout.write(JSON.stringify({ error: String(error) + where }) + '\n');
  }
}
await browser.close();
