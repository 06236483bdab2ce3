// Usage: node browse.mjs '{"server": "http://127.0.0.1:8000", "chromium": "/usr/bin/chromium", …}'
//
// Uses a running server's pages as people do, in a headless Chromium that reaches no other host: the page at /, view by
// view, and GraphiQL. Prints each step; the exit status is 1 if one fails, if another host was asked, if the console has
// an error or if a policy was violated. Besides the two above, its argument has
//   user, admin   { username, password }; the administrator has a second factor and gives its code as totpCode
//   pictures      directory for screenshots; none without it
import { readFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const { server: target, chromium: executablePath, user, admin, pictures } = JSON.parse(process.argv[2]);
const way = await wayTo(new URL(target));
const server = `http://${way.host}`;
const problems = [];
// What the page and the server have said over WebSockets: { socket, sent } or { socket, received }.
const messages = [];

/** A way to the server that can be cut: all connections break, and new ones are made again, or not while it is closed. */
async function wayTo({ hostname, port }) {
  const connections = new Set();
  const listener = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const [end, other] of [[near, far], [far, near]]) {
      connections.add(end);
      end.pipe(other);
      end.on('error', () => other.destroy());
      end.on('close', () => {
        connections.delete(end);
        other.destroy();
      });
    }
  });
  const open = (port) => new Promise((listening) => listener.listen(port, '127.0.0.1', listening));
  const cut = () => connections.forEach((end) => end.destroy());
  await open(0);
  const { port: near } = listener.address();
  return { host: `127.0.0.1:${near}`, cut, close: () => (listener.close(), cut()), reopen: () => open(near) };
}

// Browsers log every answer of this status; wrong passwords are meant to have it.
const isRefusedLogin = (message) => message.location().url === `${server}/session` && message.text().includes('401');
// So do they every request that is not answered, which the step with this name makes happen.
let isUnreachable = false;
const isUnanswered = (message) => isUnreachable && /ERR_(CONNECTION|EMPTY|SOCKET)/.test(message.text());

async function open() {
  const browser = await chromium.launch({
    executablePath,
    // Chromium's sandbox does not start as root, as which containers run tests.
    args: ['--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1', ...(process.getuid() === 0 ? ['--no-sandbox'] : [])],
  });
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'light', reducedMotion: 'reduce' });
  context.setDefaultTimeout(30_000);
  await context.exposeFunction('reportViolation', (text) => problems.push(`policy: ${text}`));
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
      window.reportViolation(`${violatedDirective} ${blockedURI}`),
    );
  });
  const isForeign = (url) => !['data:', 'blob:'].includes(new URL(url).protocol) && new URL(url).host !== way.host;
  await context.route(isForeign, (route) => route.abort());
  const page = await context.newPage();
  page.on('request', (request) => isForeign(request.url()) && problems.push(`asked for ${request.url()}`));
  page.on('websocket', (socket) => {
    if (isForeign(socket.url())) problems.push(`connected to ${socket.url()}`);
    socket.on('framesent', ({ payload }) => messages.push({ socket, sent: JSON.parse(payload) }));
    socket.on('framereceived', ({ payload }) => messages.push({ socket, received: JSON.parse(payload) }));
  });
  const isMeant = (message) => isRefusedLogin(message) || isUnanswered(message);
  page.on('console', (message) => message.type() === 'error' && !isMeant(message) && problems.push(`console: ${message.text()}`));
  page.on('pageerror', (error) => problems.push(`uncaught: ${error.stack}`));
  return { browser, page };
}

const steps = [];
const step = (name, run) => steps.push([name, run]);

async function picture(page, name, options) {
  if (!pictures) return;
  for (const message of await page.getByRole('button', { name: 'Dismiss' }).all()) await message.click();
  await page.screenshot({ path: join(pictures, `${name}.png`), ...options });
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

async function choose(page, strategy) {
  await page.getByLabel('Strategy').selectOption({ label: strategy });
  await page.getByLabel('Market').selectOption('demo:BTC/USD');
}

async function signIn(page, { username, password }) {
  await page.getByLabel('Username or e-mail').fill(username);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.keyboard.press('Enter');
}

step('signing in, not with a wrong password', async (page) => {
  await page.goto(`${server}/`);
  await signIn(page, { ...user, password: 'not this one' });
  await page.getByRole('alert').filter({ hasText: /./ }).waitFor();
  await signIn(page, user);
  await page.getByRole('heading', { name: 'Run a backtest' }).waitFor();
});

step('a mistake is told beside its field', async (page) => {
  await choose(page, 'EMA cross');
  await page.getByLabel('fast', { exact: true }).fill('-1');
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.locator('[data-path="parameters.fast"][aria-invalid]').waitFor();
  // What is no number, and what is none of the units shown, goes nowhere.
  await page.getByLabel('Capital').fill('');
  await page.getByLabel('Capital').pressSequentially('1e');
  await page.getByText('Orders and costs').click();
  await page.getByLabel('Taker fee, %').fill('50');
  await page.getByText('Orders and costs').click();
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.getByText('less than or equal to 10', { exact: false }).waitFor();
  await page.getByText('enter a number').waitFor();
  await page.getByLabel('fast', { exact: true }).fill('20');
  await page.getByLabel('Capital').fill('10000');
  await page.getByLabel('Taker fee, %').fill('');
  // What only the server knows comes in the words of the form.
  await page.getByText('Stops and targets').click();
  await page.getByLabel('Trails from, %').fill('2');
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.getByText('Trails from, % needs a Trailing stop, %.').waitFor();
  await page.getByLabel('Trails from, %').fill('');
  await page.getByLabel('Size in').selectOption('riskFraction');
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.getByText('% of equity at risk needs a Stop loss, %:').waitFor();
  await page.getByLabel('Size in').selectOption('equityFraction');
  for (const [targets, problem] of [['4 %', 'Write minutes: %,'], ['0: 4, 00: 5', 'more than one target for 0 minutes']]) {
    await page.getByLabel('Targets by age').fill(targets);
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await page.getByText(problem).waitFor();
  }
  await page.getByLabel('Targets by age').fill('');
  if (!(await page.getByLabel('Targets by age').evaluate((field) => field.checkValidity()))) throw new Error('no targets are refused');
});

step('a backtest runs', async (page) => {
  await page.getByLabel('fast', { exact: true }).fill('20');
  await page.getByLabel('slow', { exact: true }).fill('80');
  await page.getByLabel('Stop loss, %').fill('5');
  await page.getByLabel('Targets by age').fill('0: 90, 6000: 50');
  await page.getByLabel('Direction').selectOption('BOTH');
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  // The first start of all compiles the engine.
  await page.getByRole('heading', { name: 'Equity and drawdown' }).waitFor({ timeout: 90_000 });
  await page.locator('.figures .trades').filter({ hasText: /^[1-9]\d*$/ }).waitFor();
  await page.getByRole('region', { name: 'Ledger' }).getByRole('row').nth(5).waitFor();
  if ((await page.title()) !== 'EMA cross · gql_trader') throw new Error(`the title is ${await page.title()}`);
});

step('its chart is drawn', async (page) => {
  // Candles that rise and fall, two averages, exits; equity and drawdown.
  await drawn(page, '.chart.tall', ['gain', 'loss', 'line-1', 'line-2', 'accent']);
  await drawn(page, '.chart:not(.tall)', ['accent', 'loss']);
  await picture(page, 'page');
  // Where the trades of two years would hide the candles, they are left out.
  await page.getByRole('button', { name: 'Everything' }).click();
  await page.getByText('Zoom in to see the trades.').waitFor();
  await page.getByRole('button', { name: 'Latest' }).click();
  await page.getByText('Zoom in to see the trades.').waitFor({ state: 'hidden' });
});

step('its ledger is a file, and its report a page that runs nothing', async (page) => {
  const told = await page.locator('.figures .trades').innerText();
  // Links name the server's own address, which is not the one that this browser reaches.
  await page.route(`${server}/graphql`, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: (await response.text()).replaceAll(new URL(target).origin, server) });
  });
  const asked = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Ledger CSV' }).click();
  const file = await asked;
  const rows = (await readFile(await file.path(), 'utf8')).trimEnd().split('\r\n');
  if (!/^backtest-[\w-]+-ledger\.csv$/.test(file.suggestedFilename())) throw new Error(`it is called ${file.suggestedFilename()}`);
  if (rows.length - 1 !== Number(told)) throw new Error(`of ${told} trades there are ${rows.length - 1} lines`);
  await page.setViewportSize({ width: 1180, height: 1160 });
  await page.getByRole('button', { name: 'Report' }).click();
  await page.getByRole('heading', { name: 'EMA cross on demo:BTC/USD' }).waitFor();
  const shown = await page.locator('.headline div', { hasText: 'Trades' }).locator('dd').innerText();
  if (shown !== told) throw new Error(`of ${told} trades the report says ${shown}`);
  if ((await page.locator('script').count()) > 0) throw new Error('the report has a script');
  await picture(page, 'report');
  await page.unroute(`${server}/graphql`);
  await page.goBack();
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.getByRole('heading', { name: 'Equity and drawdown' }).waitFor();
});

step('more of a list keeps the focus and the place', async (page) => {
  await page.getByRole('button', { name: 'More' }).press('Enter');
  await page.getByRole('region', { name: 'Ledger' }).getByRole('row').nth(60).waitFor();
  await page.locator('#ledger button:focus').waitFor();
  const next = page.getByRole('region', { name: 'Ledger' }).getByRole('row').nth(25);
  const isInSight = await next.evaluate((row) => row.getBoundingClientRect().bottom > 0 && row.getBoundingClientRect().top < innerHeight);
  if (!isInSight) throw new Error('the page has moved');
});

step('two backtests are compared', async (page) => {
  await page.getByRole('button', { name: 'Change and run again' }).click();
  // What was set is there again, and in sight.
  await page.getByLabel('Targets by age').and(page.locator(':visible')).waitFor();
  const targets = await page.getByLabel('Targets by age').inputValue();
  if (targets !== '0: 90, 6000: 50') throw new Error(`the targets are ${targets}`);
  await page.getByLabel('fast', { exact: true }).fill('30');
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.getByRole('heading', { name: 'Equity and drawdown' }).waitFor();
  await page.getByRole('link', { name: 'Backtests' }).click();
  for (const box of [0, 1]) await page.getByRole('checkbox', { name: /^Compare EMA cross/ }).nth(box).check();
  await page.getByRole('button', { name: 'Compare 2' }).click();
  await drawn(page, '.chart', ['line-1', 'line-2']);
  await page.getByRole('row', { name: 'Sharpe ratio' }).locator('strong').waitFor();
});

step('what cannot be undone is asked for first', async (page) => {
  await page.goBack();
  await page.getByRole('link', { name: 'EMA cross' }).first().click();
  const remove = page.getByRole('button', { name: 'Delete' });
  const question = page.getByRole('dialog', { name: 'Delete this backtest?' });
  for (const no of [() => page.keyboard.press('Enter'), () => page.keyboard.press('Escape')]) {
    await remove.press('Enter');
    await question.waitFor();
    await no();
    await question.waitFor({ state: 'detached' });
    if (!(await remove.evaluate((button) => button === document.activeElement))) throw new Error('the focus is lost');
  }
  const deleted = page.url();
  await remove.click();
  await question.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('heading', { name: 'Backtests', exact: true }).waitFor();
  await page.goto(deleted);
  await page.getByRole('heading', { name: 'There is no such backtest' }).waitFor();
  await page.goto(`${server}/#/bots/nothing`);
  await page.getByRole('link', { name: 'All Bots' }).waitFor();
});

step('the editor shows a mistake at its place', async (page) => {
  await page.getByRole('link', { name: 'Strategies' }).click();
  await page.getByRole('link', { name: 'Write a new one' }).click();
  await page.getByRole('heading', { name: 'A new strategy' }).waitFor();
  await page.getByText('Valid. It needs').waitFor();
  await page.getByLabel('Enter long when').fill('crossover(ema(close, fast), ema(closs, slow))');
  await page.getByText(/^1:33 /).waitFor();
  await page.locator('.marks mark', { hasText: 'closs' }).waitFor();
  // It is not left unasked, whether for another view or for another page.
  const stay = page.waitForEvent('dialog').then((question) => question.dismiss());
  await page.getByRole('link', { name: 'Searches' }).click();
  await stay;
  await page.waitForURL(/#\/strategies\/new$/);
  await page.locator('.marks mark', { hasText: 'closs' }).waitFor();
  const leaves = () => page.evaluate(() => window.dispatchEvent(new Event('beforeunload', { cancelable: true })));
  if (await leaves()) throw new Error('the page closes on what was not saved');
  const lines = page.getByLabel('Lines to draw');
  const drawn = await lines.inputValue();
  await lines.fill('close\n\n  closs');
  await page.getByText(/^3:3 Unknown name 'closs'/).waitFor();
  await lines.fill(drawn);
  await page.getByLabel('Default of parameter 1').fill('1');
  await page.getByText(/^The default of fast must be a whole number from 2/).waitFor();
  await page.getByLabel('Default of parameter 1').fill('12');
  await page.getByLabel('Enter long when').fill('crossover(ema(close, fast), ema(close, slow))');
  await page.getByText('Valid. It needs').waitFor();
  await page.getByLabel('Name', { exact: true }).fill(`Mine ${Date.now()}`);
  await page.getByRole('button', { name: 'Save as mine' }).click();
  await page.getByText('yours · version 1').waitFor();
  if (!(await leaves())) throw new Error('the page does not close on what was saved');
  await page.getByRole('button', { name: 'Add a parameter' }).click();
  const leave = page.waitForEvent('dialog').then((question) => question.accept());
  await page.getByRole('link', { name: 'Searches' }).click();
  await leave;
  await page.getByRole('heading', { name: 'Searches' }).waitFor();
});

step('a search has a heat map', async (page) => {
  await page.getByRole('link', { name: 'Searches' }).click();
  await choose(page, 'EMA cross');
  await page.getByRole('button', { name: 'Search', exact: true }).click();
  await page.locator('#heatmap td .heat').nth(20).waitFor({ timeout: 60_000 });
  await picture(page, 'heatmap');
});

step('a bot starts on a replay, and a trade arrives live', async (page) => {
  await page.getByRole('link', { name: 'Bots' }).click();
  await choose(page, 'EMA cross');
  await page.getByLabel('fast', { exact: true }).fill('2');
  await page.getByLabel('slow', { exact: true }).fill('5');
  await page.getByText('Guards', { exact: true }).click();
  await page.getByLabel('Daily loss limit, %').fill('5');
  await page.getByLabel('Feed').selectOption('replay');
  await page.getByLabel('From', { exact: true }).fill('2025-01-01');
  await page.getByLabel('Speed').fill('144000');
  await page.getByRole('button', { name: 'Make', exact: true }).click();
  await page.getByText('max daily loss').waitFor();
  // So slow a click that what is told meanwhile, first of all how things stand, comes before it is over.
  await page.getByRole('button', { name: 'Start' }).click({ delay: 500 });
  await page.locator('#trades .fresh').first().waitFor({ timeout: 60_000 });
  await drawn(page, '.chart', ['accent']);
  if (pictures) await page.locator('#trades .fresh').nth(4).waitFor();
  await picture(page, 'bot');
});

step('what a cut connection missed comes after it', async (page) => {
  // Forty bars a second: while the page waits before it connects again, trades are opened and closed.
  const told = () => messages.map(({ received }) => received?.payload?.data?.trades).filter(Boolean);
  const more = async (count) => {
    const wanted = told().length + count;
    while (told().length < wanted) await page.waitForEvent('websocket', { timeout: 100 }).catch(() => {});
  };
  await more(2);
  way.cut();
  await more(12);
  const subscriptions = messages.filter(({ sent }) => sent?.type === 'subscribe' && sent.payload.query.includes('BotTrades'));
  const [first, second] = subscriptions.slice(-2);
  if (first.socket === second.socket || !second.sent.payload.variables.after) throw new Error('it did not go on where it was');
  // An event has the trade as it is by now, so what shows that nothing is repeated is the cursor.
  const cursors = told().map(({ cursor }) => cursor);
  const numbers = told().map(({ trade }) => trade.number);
  const gaps = numbers.slice(1).filter((number, index) => ![0, 1].includes(number - numbers[index]));
  if (gaps.length > 0 || new Set(cursors).size < cursors.length) throw new Error(`missed or repeated: ${JSON.stringify(told())}`);
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByRole('button', { name: 'Start' }).waitFor();
});

/** Answer as the server does, changed by `patch` where a query of this name is asked. */
const patched = (page, name, patch) =>
  page.route(`${server}/graphql`, async (route) => {
    if (!route.request().postData()?.includes(`query ${name}`)) return route.fallback();
    const response = await route.fetch();
    const json = await response.json();
    patch(json.data);
    await route.fulfill({ response, json });
  });

step('real money takes a key, a code and a word about what is amiss', async (page) => {
  const key = { id: 'RXhjaGFuZ2VLZXk6MQ==', exchange: 'demo', label: 'main', apiKeyMasked: 'abcd…wxyz' };
  await patched(page, 'Keys', ({ me }) => me.exchangeKeys.push({ ...key, permissions: ['READ', 'TRADE'] }));
  const error = 'An order is open. Send the same again with acknowledgeMismatch: true.';
  await patched(page, 'Bot(', ({ bot }) => Object.assign(bot, { mode: 'LIVE', exchangeKey: key, error }));
  // Nor do events tell that it trades on paper.
  let isSilent = true;
  await page.routeWebSocket(/graphql$/, (socket) => !isSilent && socket.connectToServer());
  await page.reload();
  await page.getByText('live with main (demo)').waitFor();
  await page.getByRole('button', { name: 'Start' }).click();
  await page.getByLabel('I have looked at the account').check();
  await page.getByRole('dialog').getByRole('button', { name: 'Start' }).click();
  await page.locator('[data-path="totpCode"][aria-invalid]').waitFor();
  await page.getByLabel('Code of your second factor').fill('123456');
  const asked = page.waitForRequest((request) => request.postData()?.includes('mutation StartBot') ?? false);
  await page.getByRole('dialog').getByRole('button', { name: 'Start' }).click();
  const { id, ...said } = JSON.parse((await asked).postData()).variables.input;
  if (JSON.stringify(said) !== '{"totpCode":"123456","acknowledgeMismatch":true}') throw new Error(JSON.stringify(said));
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  isSilent = false;
  await page.goto(`${server}/#/bots`);
  await page.reload();
  await page.getByLabel('Trades', { exact: true }).selectOption({ label: 'with real money: main (demo)' });
  await page.getByRole('button', { name: 'Make', exact: true }).click();
  await page.locator('[data-path~="exchangeKeyId"][aria-invalid]').waitFor();
  await page.getByRole('button', { name: 'Stop all' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Stop all' }).click();
  await page.locator('.state:not(.stopped)').waitFor({ state: 'detached' });
  await page.unrouteAll();
});

step('a server that cannot be reached is told, and when it is back', async (page) => {
  const notice = page.getByText('No connection to the server.');
  isUnreachable = true;
  way.close();
  await notice.waitFor();
  await page.getByRole('link', { name: 'Searches' }).click();
  await page.getByRole('alert').filter({ hasText: 'The server cannot be reached.' }).waitFor();
  await way.reopen();
  await page.getByRole('status').getByText('Connected to the server again.').waitFor();
  await notice.waitFor({ state: 'hidden' });
  isUnreachable = false;
  // What had failed is asked for again.
  await page.getByRole('heading', { name: 'Searches' }).waitFor();
});

step('events that have ended for good are told of until the view is left', async (page) => {
  const other = await page.context().newPage();
  await other.clock.install();
  await other.routeWebSocket(/graphql$/, (socket) => {
    const way = socket.connectToServer();
    socket.onMessage((text) => {
      const { id, type } = JSON.parse(text);
      const refusal = { id, type: 'error', payload: [{ message: 'That was too much.', extensions: { code: 'RATE_LIMITED' } }] };
      if (type === 'subscribe') socket.send(JSON.stringify(refusal));
      else way.send(text);
    });
  });
  await other.goto(`${server}/#/bots`);
  const told = other.getByText('That was too much. What is shown is no longer live.');
  await told.waitFor();
  await other.clock.fastForward('00:30');
  if (!(await told.isVisible())) throw new Error('it is not told any more');
  await other.getByRole('link', { name: 'Profit' }).click();
  await told.waitFor({ state: 'detached' });
  await other.close();
});

step('its days are a calendar of colours', async (page) => {
  await page.getByRole('link', { name: 'Bots' }).click();
  await page.getByRole('link', { name: 'My bot' }).first().click();
  await page.getByRole('link', { name: 'Days' }).click();
  await page.locator('#calendar').locator('.gain, .loss').first().waitFor();
  await page.locator('.figures div').filter({ hasText: 'Worst day' }).filter({ hasText: '2025-01-0' }).waitFor();
  for (const [month, problem] of [['0002-01', 'Choose a month'], ['1970-01', 'Days are between']]) {
    await page.getByLabel('Month', { exact: true }).fill(month);
    await page.getByRole('alert').filter({ hasText: problem }).waitFor();
  }
  await page.locator('[type=month][aria-invalid]').waitFor();
  await page.getByRole('button', { name: 'Next month' }).click();
  await page.getByRole('region', { name: 'Days of 2025-02' }).waitFor();
});

step('days and curve begin at midnight where the user is', async (page) => {
  const live = (timezone) =>
    page.evaluate(
      ([address, query]) =>
        fetch(address, {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'x-csrf-protection': '1' },
          body: JSON.stringify({ query }),
        }).then((response) => response.json()),
      [`${server}/graphql`, `mutation { updatePreferences(input: { timezone: "${timezone}" }) { errors { message } } }`],
    );
  const asked = page.waitForRequest((request) => request.postData()?.includes('query Month') ?? false);
  await live('America/New_York');
  await page.reload();
  const { first, last, start, end } = JSON.parse((await asked).postData()).variables;
  const said = [first, last, start, end].join(' ');
  if (said !== '2025-01-01 2025-01-31 2025-01-01T05:00:00.000Z 2025-02-01T05:00:00.000Z') throw new Error(said);
  await page.getByText('in America/New_York').waitFor();
  await live('UTC');
  await page.reload();
  await page.getByText('in UTC').waitFor();
});

step('the content can be skipped to, and nothing moves', async (page) => {
  const skip = page.getByRole('button', { name: 'Skip to the content' });
  await skip.focus();
  if ((await page.locator('header').boundingBox()).y !== 0) throw new Error('the header has moved');
  await skip.press('Enter');
  await page.locator('main:focus').waitFor();
  await page.getByRole('heading', { name: 'Profit' }).waitFor();
});

/** Of these elements, the texts of those that are not wholly inside the viewport's width. */
const outside = (page, selector) =>
  page.locator(selector).evaluateAll((found) =>
    found.filter((each) => each.getBoundingClientRect().right > innerWidth || each.scrollWidth > each.clientWidth + 1).map((each) => each.textContent));

step('every view fits a phone', async (page) => {
  await page.setViewportSize({ width: 320, height: 740 });
  const cells = await outside(page, '#calendar :is(th, td)');
  if (cells.length > 0) throw new Error(`the calendar loses ${cells}`);
  await picture(page, 'phone-days', { fullPage: true });
  for (const [name, content] of [['Backtests', '#run'], ['Searches', '#search'], ['Bots', '#bot'], ['Strategies', 'textarea'], ['Profit', '.bar h1']]) {
    await page.getByRole('link', { name, exact: true }).click();
    if (content.startsWith('#')) await page.locator('.card > summary').click();
    await page.locator(content).first().waitFor();
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    const lost = await outside(page, 'nav, nav a, section > div > .scroll');
    if (width > 320 || lost.length > 0) throw new Error(`${name} is ${width} pixels wide, and the navigation loses ${lost}`);
    await picture(page, `phone-${name}`, { fullPage: true });
  }
  await page.setViewportSize({ width: 1280, height: 800 });
});

step('an administrator signs in with a second factor and lets somebody in', async (page) => {
  const newcomer = `newcomer${Date.now()}`;
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText('Create an account').click();
  await page.getByLabel('New username').fill(newcomer);
  await page.getByLabel('E-mail', { exact: true }).fill(`${newcomer}@example.com`);
  await page.getByLabel('New password').fill('Plenty-Of-Chalk-41');
  await page.getByRole('button', { name: 'Create', exact: true }).click();
  await page.locator('#messages .info').waitFor();
  await signIn(page, admin);
  await page.getByLabel('Code of your second factor').fill(admin.totpCode);
  await page.keyboard.press('Enter');
  await page.setViewportSize({ width: 360, height: 740 });
  await page.getByRole('link', { name: 'Users' }).click();
  await page.getByRole('row', { name: newcomer }).waitFor();
  const lost = await outside(page, 'nav, nav a, .scroll, .actions button');
  if (lost.length > 0) throw new Error(`a phone loses ${lost}`);
  await picture(page, 'phone-Users');
  await page.getByRole('row', { name: newcomer }).getByRole('button', { name: 'Approve' }).click();
  await page.getByText(`${newcomer} may sign in now.`).waitFor();
  await page.setViewportSize({ width: 1280, height: 800 });
});

// ---- GraphiQL ----

const EDITOR = '.graphiql-query-editor .CodeMirror';

const CALMEST = `# The calmest backtests of ETH, with their first trades.
query Calmest {
  backtests(
    where: { asset: ["ETH"] }
    orderBy: [{ field: MAX_DRAWDOWN, direction: ASC }]
    first: 2
  ) {
    totalCount
    nodes {
      strategy { name }
      parameters
      metrics { totalReturn sharpeRatio maxDrawdown }
      ledger(first: 2) {
        nodes { side entryTime entryPrice profit }
      }
    }
  }
}
`;

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
  await page.getByText(`Signed in as ${admin.username}`).waitFor();
  await page.locator(EDITOR).waitFor();
  for (const slug of ['golden-cross', 'donchian-breakout']) {
    const found = await graphiql(page, 'Find', `query Find { strategy(slug: "${slug}") { id slug } }`, `"${slug}"`);
    const run = await graphiql(
      page,
      'Run',
      `mutation Run { runBacktest(input: { strategyId: "${found.strategy.id}", market: "demo:ETH/USD", interval: H1 }) { backtest { id } errors { message } } }`,
      '"runBacktest"',
    );
    const { id } = run.runBacktest.backtest;
    const watched = `subscription Watch { backtestProgress(id: "${id}") { status progress backtest { id } } }`;
    await graphiql(page, 'Watch', watched, '"COMPLETED"');
  }
  const { backtests } = await graphiql(page, 'Calmest', CALMEST, '"backtests"');
  if (backtests.totalCount !== 2) throw new Error(`there are ${backtests.totalCount} backtests`);
  await picture(page, 'graphiql');
});

const { browser, page } = await open();
try {
  for (const [name, run] of steps) {
    await run(page);
    console.log(`ok: ${name}`);
  }
} catch (error) {
  problems.push(error.stack);
  problems.push(`the page then said:\n${await page.locator('body').innerText()}`);
  problems.push(`and its last messages were:\n${messages.slice(-12).map((each) => JSON.stringify(each).slice(0, 300)).join('\n')}`);
  await picture(page, 'failure');
} finally {
  await browser.close();
  way.close();
}
for (const problem of problems) console.log(problem);
process.exitCode = problems.length > 0 ? 1 : 0;
