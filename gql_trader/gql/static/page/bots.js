// Bots: making, starting and stopping them, their guards, and their equity and trades as they happen.

import { mutate, queryAll, queryOne, subscribe } from './client.js';
import { marketOf, tradeTable } from './backtests.js';
import { drawEquity } from './charts.js';
import * as documents from './documents.js';
import {
  address, ask, bar, button, card, carefulButton, choice, complain, day, decimal, field, figures, form, h, heading,
  input, link, listPage, money, noted, number, percent, quiet, row, say, signed, soon, submitButton, table, time,
  update, words,
} from './dom.js';
import { fetchCatalogue, moment, specFields } from './specform.js';

const stateOf = (bot) => h('span', { class: `state ${bot.state.toLowerCase()}` }, words(bot.state));
const gainOf = ({ profitFraction }) => signed(profitFraction, percent(profitFraction));
const isStarted = (bot) => ['PENDING', 'RUNNING', 'STOPPING'].includes(bot.state);
const nameOf = ({ label, apiKeyMasked, exchange }) => `${label ?? apiKeyMasked} (${exchange})`;
const modeOf = ({ mode, exchangeKey }) => (exchangeKey ? `live with ${nameOf(exchangeKey)}` : words(mode));

const STOPPING = 'What is held is sold at the market, and the session ends: started again, it begins anew.';

/** The button that fits the state. */
function startOrStop(bot) {
  const { id, mode, state } = bot;
  const stop = () => mutate(documents.STOP_BOT, { id });
  if (!isStarted(bot)) {
    const start = () => (mode === 'LIVE' ? startLive(bot) : mutate(documents.START_BOT, { input: { id } }));
    return button('Start', start, { 'aria-label': `Start ${bot.name}` });
  }
  if (mode === 'LIVE' && state !== 'STOPPING') return carefulButton('Stop', `Stop ${bot.name}?`, STOPPING, stop);
  return button('Stop', stop, { 'aria-label': `Stop ${bot.name}`, disabled: state === 'STOPPING' });
}

/** Starting takes a second factor, and a word about an account that was not what it should be at the last start. */
function startLive(bot) {
  const code = { name: 'totpCode', autocomplete: 'one-time-code', required: true, autofocus: true };
  const known = input({ name: 'acknowledgeMismatch', type: 'checkbox' });
  const given = (code) => ({ id: bot.id, totpCode: code.trim(), acknowledgeMismatch: known.checked });
  const begin = ({ totpCode }) => mutate(documents.START_BOT, { input: given(totpCode) });
  const capital = `${money(bot.initialCapital)} ${bot.market.quote.symbol}`;
  ask(`Let ${bot.name} trade with real money?`, 'Start', begin,
    h('p', {}, `Orders go to ${bot.market.exchange} with ${nameOf(bot.exchangeKey)}, for up to ${capital}.`),
    field('Code of your second factor', input(code)),
    bot.error?.includes('acknowledgeMismatch') &&
      field('I have looked at the account: trade all the same', known, { hint: bot.error }));
}

function feedOf({ replay }) {
  if (!replay) return 'live market';
  return `replay from ${day(replay.start)}${replay.end ? ` to ${day(replay.end)}` : ''}, speed ${replay.speed}`;
}

export async function showBots(main, { viewer, signal, go }) {
  const [catalogue, nodes, keys] = await Promise.all([
    fetchCatalogue(signal), queryAll(documents.BOTS, signal), queryOne(documents.KEYS, {}, signal),
  ]);
  const bots = new Map(nodes.map((bot) => [bot.id, bot]));
  const list = h('div');
  const mayTrade = viewer.role !== 'VIEWER';

  const columns = [
    ['Bot', (bot) => noted(link(address('bots', bot.id), bot.name), bot.strategy.name)],
    ['Market', (bot) => noted(marketOf(bot), `${modeOf(bot)}, ${feedOf(bot)}`, bot.mode === 'LIVE' ? null : 'minor')],
    ['State', (bot) => [stateOf(bot), ' ', mayTrade && startOrStop(bot)]],
    ['Equity', ({ session }) => money(session?.equity ?? null), { number: true, minor: true }],
    ['Profit', ({ session }) => (session ? gainOf(session) : '–'), { number: true }],
  ];
  const show = () => update(list, table('Bots', columns, [...bots.values()], 'No bot yet: make one.'));
  show();

  const stopAll = carefulButton('Stop all', 'Stop all bots?', STOPPING, () => mutate(documents.STOP_ALL, {}));
  const making = mayTrade && { title: 'Make a bot', form: botForm(catalogue, keys.exchangeKeys, signal, go) };
  main.replaceChildren(listPage('Bots', mayTrade && stopAll, list, making));
  follow(signal, documents.BOT_STATUS, {}, ({ bot }) => {
    bots.set(bot.id, bot);
    show();
  });
}

function botForm(catalogue, keys, signal, go) {
  const feed = choice([['live', 'live market'], ['replay', 'replay of history']], 'live', { name: 'feed' });
  const start = input({ type: 'date', name: 'feed.replay.start' });
  const end = input({ type: 'date', name: 'feed.replay.end' });
  const speed = decimal({ min: 0, name: 'feed.replay.speed', value: 36000 });
  const pace = 'Market time over real time: at 36,000, ten hours a second. 0: at once.';
  const replay = row(field('From', start), field('To', end), field('Speed', speed, { hint: pace }));
  replay.hidden = true;
  feed.addEventListener('change', () => (replay.hidden = feed.value === 'live'));
  const trading = keys.filter(({ permissions: may }) => may.includes('TRADE') && !may.includes('WITHDRAW'));
  const real = trading.map((each) => [each.id, `with real money: ${nameOf(each)}`]);
  const key = choice([['', 'on paper'], ...real], '', { name: 'exchangeKeyId' });
  const noKey = 'A key to an exchange that may trade, and not withdraw, lets bots trade with real money: see GraphiQL.';
  const hint = real.length > 0 ? 'Real money takes a second factor at each start.' : noKey;
  const spec = specFields(catalogue, signal, {}, { range: false });

  async function submit({ name, exchangeKeyId }) {
    const from = moment(start) ?? spec.element.dataset.start;
    const history = { start: from, end: moment(end), speed: Number(speed.value) };
    const mode = exchangeKeyId ? { mode: 'LIVE', exchangeKeyId } : { mode: 'PAPER' };
    const source = feed.value === 'live' ? { live: true } : { replay: history };
    const { bot } = await mutate(documents.CREATE_BOT, { input: { ...spec.read(), ...mode, name, feed: source } });
    go('bots', bot.id);
  }
  return form({ id: 'bot' }, submit, field('Name', input({ name: 'name', value: 'My bot' })), spec.element,
    h('fieldset', {}, h('legend', {}, 'Bars from'), field('Feed', feed), replay),
    field('Trades', key, { path: 'exchangeKeyId mode', hint }),
    submitButton('Make'));
}

/** Call back with every event, until the page goes elsewhere. It says so, all the while, if there will be no more. */
async function follow(signal, document, variables, heard) {
  try {
    for await (const event of subscribe(document, variables, signal)) heard(event);
  } catch (error) {
    const lament = (text) => say(`${text} What is shown is no longer live.`, 'error', Infinity);
    complain(error, (text) => signal.addEventListener('abort', lament(text)));
  }
}

export async function showBot(main, { id, viewer, signal, go, reload }) {
  const bot = await queryOne(documents.BOT_DETAIL, { id }, signal);
  const { session } = bot;
  const top = h('div');
  const guards = h('div');
  const remove = () => mutate(documents.DELETE_BOT, { id }).then(() => go('bots'));

  function show(now) {
    const about = [now.strategy.name, marketOf(now), modeOf(now), feedOf(now)].join(' · ');
    const erase = carefulButton('Delete', `Delete ${now.name}?`, 'It cannot be brought back.', remove);
    update(
      top,
      bar(
        heading(now.name, about),
        stateOf(now),
        viewer.role !== 'VIEWER' && [startOrStop(now), !isStarted(now) && erase],
        h('a', { class: 'button', href: address('profit', id) }, 'Days')),
      h('p', { class: 'problem' }, now.error ?? ''),
      now.waitingFor ? quiet(`Waiting for the candle of ${time(now.waitingFor)}.`) : '');
    guards.replaceChildren(...guardList(now.guards));
  }
  show(bot);

  const numbers = h('div', { class: 'live' });
  const frame = h('figure', { class: 'chart' });
  const trades = new Map(session?.trades.nodes.map((trade) => [trade.number, trade]));
  const ledger = h('div', { id: 'trades' });
  main.replaceChildren(
    top, numbers, session ? card('Equity and drawdown', frame) : quiet('It has not been started yet.'),
    h('div', { class: 'halves' }, card('Guards', guards), card('Trades, newest first', ledger)));

  let latest = session && { equity: Number(session.equity), time: session.lastBarTime };
  const extend = session && drawEquity(frame, session.equityCurve, `Equity and drawdown of ${bot.name}`, signal);
  function showTrades() {
    const newest = [...trades.values()].sort((a, b) => b.number - a.number).slice(0, 50);
    ledger.replaceChildren(tradeTable('Trades', newest));
    showNumbers();
  }
  function showNumbers() {
    if (!latest) return;
    const { equity } = latest;
    const profit = equity - session.capital;
    numbers.replaceChildren(figures([
      [`Equity, ${bot.market.quote.symbol}`, money(equity), 'equity'],
      ['Profit', signed(profit, money(profit))], ['Return', signed(profit, percent(profit / session.capital))],
      ['Trades', number(trades.size && Math.max(...trades.keys()), 0), 'trades'],
      ['Last bar', time(latest.time)],
    ]));
  }
  showTrades();
  // A replay may tell of more bars in a second than anybody can see. Guards count trades; the server knows how far.
  const [numbersSoon, tradesSoon] = [showNumbers, showTrades].map((show) => soon(50, show));
  const countSoon = soon(500, async () => {
    const now = await queryOne(documents.GUARDS, { id }, signal).catch(() => null);
    if (now) guards.replaceChildren(...guardList(now.guards));
  });
  const heard = ({ bot: now }) => (now.session?.id === session?.id ? show(now) : reload());
  follow(signal, documents.BOT_STATUS, { botId: id }, heard);
  if (!session) return;
  follow(signal, documents.BOT_EQUITY, { botId: id }, (event) => {
    if (event.sessionId !== session.id) return;
    latest = { equity: Number(event.equity), time: event.time };
    extend(Date.parse(event.time), latest.equity);
    numbersSoon();
  });
  follow(signal, documents.BOT_TRADES, { botId: id }, ({ trade }) => {
    if (trade.session.id !== session.id) return;
    trades.set(trade.number, { ...trade, live: true });
    tradesSoon();
    countSoon();
  });
}

function guardList(guards) {
  if (guards.length === 0) return [quiet('None. Set them when you make a bot.')];
  return guards.map(({ kind, limit, used, resetsAt, tripped, trippedBy }) => {
    const write = ['MAX_DAILY_TRADES', 'COOLDOWN'].includes(kind) ? (value) => number(value, 0) : percent;
    const label = words(kind);
    return h('div', { class: 'guard' },
      h('span', {}, label),
      h('span', {}, `${write(used)} of ${write(limit)}`),
      h('meter', { max: limit, value: Math.max(0, used), 'aria-label': label }),
      tripped && h('p', { class: 'problem' }, trippedBy ?? 'Tripped', resetsAt && `, until ${time(resetsAt)}`));
  });
}
