// Usage: node browse.mjs http://127.0.0.1:8000 USERNAME PASSWORD /usr/bin/chromium [DIRECTORY FOR SCREENSHOTS]
//
// Uses a running server's pages as people do, in a headless Chromium that reaches no other host: signs in, runs a
// backtest, sees its chart, and has GraphiQL run a query, a mutation and a subscription. Prints each step; the exit
// status is 1 if one fails, if another host was asked, if the console has an error or if a policy was violated.
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [server, username, password, executablePath, pictures] = process.argv.slice(2);
if (!executablePath) {
  console.error('usage: node browse.mjs SERVER USERNAME PASSWORD CHROMIUM [DIRECTORY]');
  process.exit(2);
}
const { hostname, host } = new URL(server);
const problems = [];

async function open() {
  const browser = await chromium.launch({
    executablePath,
    // Chromium's sandbox does not start as root, as which containers run tests.
    args: [`--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE ${hostname}`, ...(process.getuid() === 0 ? ['--no-sandbox'] : [])],
  });
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'light', reducedMotion: 'reduce' });
  context.setDefaultTimeout(15_000);
  await context.exposeFunction('reportViolation', (text) => problems.push(`policy: ${text}`));
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
      window.reportViolation(`${violatedDirective} ${blockedURI}`),
    );
  });
  const isForeign = (url) => !['data:', 'blob:'].includes(new URL(url).protocol) && new URL(url).host !== host;
  await context.route(isForeign, (route) => route.abort());
  const page = await context.newPage();
  page.on('request', (request) => isForeign(request.url()) && problems.push(`asked for ${request.url()}`));
  page.on('websocket', (socket) => isForeign(socket.url()) && problems.push(`connected to ${socket.url()}`));
  page.on('console', (message) => message.type() === 'error' && problems.push(`console: ${message.text()}`));
  page.on('pageerror', (error) => problems.push(`uncaught: ${error.stack}`));
  return { browser, page };
}

const steps = [];
const step = (name, run) => steps.push([name, run]);

async function picture(page, name, options) {
  if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`), ...options });
}

/** Wait until the canvases of a frame have pixels of each of these colours of the stylesheet. */
function drawn(page, frame, names) {
  return page.waitForFunction(
    ([selector, wanted]) => {
      const seen = new Set();
      for (const canvas of document.querySelectorAll(`${selector} canvas`)) {
        if (canvas.width === 0 || canvas.height === 0) continue;
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        for (let i = 0; i < data.length; i += 4) seen.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
      }
      const style = getComputedStyle(document.documentElement);
      return wanted.every((name) => seen.has(parseInt(style.getPropertyValue(`--${name}`).trim().slice(1), 16)));
    },
    [frame, names],
  );
}

step('signing in', async (page) => {
  await page.goto(`${server}/`);
  await page.getByLabel('Username or e-mail').fill(username);
  await page.getByLabel('Password').fill(password);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Run a backtest' }).waitFor();
});

step('a mistake is told beside its field', async (page) => {
  await page.getByLabel('Strategy').selectOption({ label: 'EMA cross' });
  await page.getByLabel('fast', { exact: true }).fill('-1');
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.locator('[data-path="parameters.fast"][aria-invalid]').waitFor();
});

step('a backtest runs', async (page) => {
  await page.getByLabel('fast', { exact: true }).fill('20');
  await page.getByLabel('slow', { exact: true }).fill('80');
  await page.getByText('Execution: fills').click();
  await page.getByLabel('Stop loss, %').fill('5');
  await page.getByLabel('Direction').selectOption('BOTH');
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  // The first start of all compiles the engine.
  await page.getByRole('heading', { name: 'Equity and drawdown' }).waitFor({ timeout: 90_000 });
  await page.locator('.figures .trades').filter({ hasText: /^[1-9]\d*$/ }).waitFor();
  await page.getByRole('region', { name: 'Ledger' }).getByRole('row').nth(5).waitFor();
});

step('its chart is drawn', async (page) => {
  // Candles that rise and fall, two averages, exits; equity and drawdown.
  await drawn(page, '.chart.tall', ['gain', 'loss', 'line-1', 'line-2', 'accent']);
  await drawn(page, '.chart:not(.tall)', ['accent', 'loss']);
  await picture(page, 'page');
});

// ---- GraphiQL ----

const EDITOR = '.graphiql-query-editor .CodeMirror';

async function graphiql(page, title, document, expected) {
  await page.evaluate(([selector, text]) => window.document.querySelector(selector).CodeMirror.setValue(text), [EDITOR, document]);
  // GraphiQL reads the document a moment after it was typed; the tab's title shows that it has.
  await page.locator('.graphiql-tab-active .graphiql-tab-button', { hasText: title }).waitFor();
  await page.locator('.graphiql-execute-button').click();
  const answer = await page.waitForFunction((part) => {
    const text = window.document.querySelector('.graphiql-response .CodeMirror').CodeMirror.getValue();
    return text.includes(part) && text;
  }, expected);
  return JSON.parse(await answer.jsonValue()).data;
}

step('GraphiQL runs a query, a mutation and a subscription', async (page) => {
  await page.goto(`${server}/graphql`);
  await page.getByText(`Signed in as ${username}`).waitFor();
  await page.locator(EDITOR).waitFor();
  const found = await graphiql(page, 'Find', 'query Find { strategy(slug: "golden-cross") { id } }', '"strategy"');
  const run = await graphiql(
    page,
    'Run',
    `mutation Run { runBacktest(input: { strategyId: "${found.strategy.id}", market: "demo:ETH/USD", interval: H1 }) { backtest { id } errors { message } } }`,
    '"runBacktest"',
  );
  const { id } = run.runBacktest.backtest;
  await graphiql(page, 'Watch', `subscription Watch { backtestProgress(id: "${id}") { status progress } }`, '"COMPLETED"');
});

const { browser, page } = await open();
try {
  for (const [name, run] of steps) {
    await run(page);
    console.log(`ok: ${name}`);
  }
} catch (error) {
  problems.push(error.stack);
  await picture(page, 'failure');
} finally {
  await browser.close();
}
for (const problem of problems) console.log(problem);
process.exitCode = problems.length > 0 ? 1 : 0;
