// What all bots, or one, have gained: figures, the curve, and each day of a month as a heat map.

import { notFound, query, queryAll } from './client.js';
import { drawEquity } from './charts.js';
import { BOT_NAMES, MONTH, PROFIT } from './documents.js';
import {
  bar, button, choice, complain, day, figures, h, heading, heat, input, latest, money, noted, number, percent, quiet,
  signed, table,
} from './dom.js';

const utc = (text) => new Date(`${text}T00:00:00Z`);
const isoDay = (date) => date.toISOString().slice(0, 10);
const monthOf = (date) => isoDay(date).slice(0, 7);

/** The month that lies some months after another one: ("2026-01", -1) is "2025-12". */
function monthAfter(month, count) {
  const [year, ordinal] = month.split('-');
  return monthOf(new Date(Date.UTC(year, ordinal - 1 + count)));
}

/** When a day begins in a time zone: at its midnight or, where clocks skip that, with the hour after. */
function midnight(date, timeZone) {
  const clock = new Intl.DateTimeFormat('sv', { timeZone, dateStyle: 'short', timeStyle: 'medium' });
  const offset = (moment) => Date.parse(`${clock.format(moment).replace(' ', 'T')}Z`) - moment;
  const given = utc(date).getTime();
  const near = given - offset(given);
  const nearer = given - offset(near);
  return new Date(nearer + offset(nearer) === given ? nearer : Math.max(near, nearer));
}

const dayOf = (found) => (found ? noted(signed(found.profit, money(found.profit)), day(found.date)) : '–');

export async function showProfit(main, { id, viewer, signal, go }) {
  const [bots, { profit }] = await Promise.all([queryAll(BOT_NAMES, signal), query(PROFIT, { botId: id }, signal)]);
  const of = choice([['', 'all bots'], ...bots.map((bot) => [bot.id, bot.name])], id ?? '', { 'aria-label': 'Bot' });
  of.addEventListener('change', () => go('profit', ...[of.value].filter(Boolean)));
  const top = bar(heading('Profit'), of);
  if (!profit) throw notFound();
  if (!profit.currency) return main.replaceChildren(top, quiet('Nothing yet. Choose a bot to see its replays.'));

  main.replaceChildren(
    top,
    figures([
      [`Balance, ${profit.currency}`, money(profit.balance)], ['Profit', signed(profit.profit, money(profit.profit))],
      ['Return', signed(profit.profitFraction, percent(profit.profitFraction))],
      ['Today', signed(profit.today, money(profit.today))],
      ['Trades', number(profit.trades, 0)], ['Won', percent(profit.winRate)],
      ['Best day', dayOf(profit.bestDay)], ['Worst day', dayOf(profit.worstDay)],
    ]),
    month(id, bots, viewer, signal));
}

function month(id, bots, { preferences: { timezone } }, signal) {
  // Replays count at the time of their candles: begin with the month that the bot was in last.
  const last = bots.find((bot) => bot.id === id)?.session?.lastBarTime;
  const chosen = input({ type: 'month', 'aria-label': 'Month', value: monthOf(last ? new Date(last) : new Date()) });
  const days = h('div', { id: 'calendar' });
  const curve = h('figure', { class: 'chart' });
  let shown = chosen.value;
  const step = (text, label, count) => button(text, () => {
    chosen.value = monthAfter(shown, count);
    return load();
  }, { 'aria-label': label });
  const refuse = (reason) => {
    chosen.ariaInvalid = 'true';
    days.replaceChildren(h('p', { class: 'problem', role: 'alert' }, reason));
    curve.replaceChildren();
  };
  const fetchMonth = latest(signal, async (still) => {
    const { value } = chosen;
    if (!/^(19|20)\d\d-\d\d$/.test(value)) return refuse('Choose a month of our time, such as 2026-01.');
    const [first, next] = [`${value}-01`, `${monthAfter(value, 1)}-01`];
    const last = isoDay(new Date(utc(next) - 86_400_000));
    const [start, end] = [first, next].map((date) => midnight(date, timezone));
    const { calendar, equityCurve } = await query(MONTH, { botId: id, first, last, start, end }, still);
    chosen.ariaInvalid = null;
    shown = value;
    const total = calendar.reduce((sum, each) => sum + Number(each.profit), 0);
    const sum = quiet('The month: ', signed(total, money(total)), ` · in ${timezone}`);
    days.replaceChildren(weeks(value, calendar), sum);
    curve.replaceChildren();
    drawEquity(curve, equityCurve, `Equity and drawdown in ${value}`, still);
  });
  const load = () => fetchMonth().catch((error) => complain(error, refuse));
  chosen.addEventListener('change', load);
  load();
  const top = bar(h('h2', {}, 'Days'), step('‹', 'Month before', -1), chosen, step('›', 'Next month', 1));
  return h('section', { class: 'card' }, top, days, h('h2', {}, 'Equity and drawdown'), curve);
}

/** Weeks as rows, Monday first. */
function weeks(month, days) {
  const most = days.reduce((greatest, each) => Math.max(greatest, Math.abs(each.profit)), 0) || 1;
  const blank = (utc(days[0].date).getUTCDay() + 6) % 7;
  const cells = [...Array(blank).fill(null), ...days];
  const rows = Array.from({ length: Math.ceil(cells.length / 7) }, (_, week) => cells.slice(7 * week, 7 * week + 7));
  const names = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
  const columns = names.map((name, index) => [name, (week) => dayCell(week[index], most)]);
  return table(`Days of ${month}`, columns, rows);
}

function dayCell(found, most) {
  if (!found) return '';
  const { date, profit, trades, color } = found;
  const kind = { GREEN: 'gain', RED: 'loss', NEUTRAL: '' }[color];
  const [whole, cents] = money(profit).split('.');
  const sum = h('span', {}, whole, h('span', { class: Math.abs(profit) < 100 ? null : 'minor' }, `.${cents}`));
  const text = color === 'NEUTRAL' && trades === 0 ? '' : noted(sum, trades === 1 ? '1 trade' : `${trades} trades`);
  return heat(kind, Math.abs(profit) / most, h('small', {}, date.slice(8)), text);
}
