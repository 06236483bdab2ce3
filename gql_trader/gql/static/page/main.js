// Signing in, the ways through the page, and signing out. Each view is a function of the element to fill and of what
// is in the address; the signal tells it that the page has gone elsewhere.

import { mutate, onConnection, onSessionEnd, query, signIn, signOut } from './client.js';
import { SIGN_UP, VIEWER } from './documents.js';
import { bar, button, complain, field, form, h, heading, input, link, quiet, say, submitButton } from './dom.js';
import { showAdministration } from './admin.js';
import { showBacktest, showBacktests, showComparison } from './backtests.js';
import { showBot, showBots } from './bots.js';
import { showProfit } from './profit.js';
import { showSearch, showSearches } from './searches.js';
import { showStrategies } from './strategies.js';

const listOrOne = (list, one) => (main, context) => (context.id ? one : list)(main, context);
const VIEWS = {
  backtests: { title: 'Backtests', one: 'backtest', show: listOrOne(showBacktests, showBacktest) },
  compare: { title: 'Compare', one: 'backtest', show: showComparison, under: 'backtests' },
  strategies: { title: 'Strategies', one: 'strategy', show: showStrategies },
  searches: { title: 'Searches', one: 'search', show: listOrOne(showSearches, showSearch) },
  bots: { title: 'Bots', one: 'bot', show: listOrOne(showBots, showBot) },
  profit: { title: 'Profit', one: 'bot', show: showProfit },
  admin: { title: 'Users', show: showAdministration, role: 'ADMIN' },
};

const main = document.getElementById('main');
let viewer = null;
let leaving = new AbortController();

const go = (...parts) => (location.hash = `/${parts.map(encodeURIComponent).join('/')}`);

function where() {
  const decoded = (part) => new URLSearchParams(`_=${part}`).get('_');
  const [name, id] = location.hash.replace(/^#\/?/, '').split('/').map(decoded);
  const isOpen = Object.hasOwn(VIEWS, name) && [undefined, viewer?.role].includes(VIEWS[name].role);
  return { name: isOpen ? name : 'backtests', id };
}

async function show() {
  leaving.abort();
  leaving = new AbortController();
  document.querySelector('dialog')?.close();
  const { signal } = leaving;
  const { name, id } = where();
  showHeader(name);
  if (!viewer) return showSignIn();
  main.replaceChildren(quiet('Loading…'));
  new MutationObserver(focusHeading).observe(main, { childList: true });
  try {
    await VIEWS[name].show(main, { id, viewer, signal, go, reload: show });
  } catch (error) {
    if (signal.aborted) return;
    const isMissing = error.code === 'NOT_FOUND' || ['id', 'ids', 'botId'].includes(error.argument?.[0]);
    if (isMissing) showMissing(name);
    else fail(error, show);
  }
}

// Once, as soon as there is one: who has gone on meanwhile is not called back.
function focusHeading(changes, observer) {
  const found = main.querySelector('h1');
  if (!found) return;
  observer.disconnect();
  document.title = `${found.firstChild.data} · gql_trader`;
  found.focus();
}

function showMissing(name) {
  const { one, under: list = name } = VIEWS[name];
  const reason = quiet('It was deleted, or is somebody else’s, or the address is wrong.');
  main.replaceChildren(heading(`There is no such ${one}`), reason, link(`#/${list}`, `All ${VIEWS[list].title}`));
}

function fail(error, retry) {
  const reason = h('p', { class: 'problem', role: 'alert' });
  main.replaceChildren(heading('This did not work'), reason, button('Try again', retry, { id: 'retry' }));
  complain(error, (text) => (reason.textContent = text));
}

function showHeader(current) {
  const mayOpen = ([, { under, role }]) => !under && [undefined, viewer?.role].includes(role);
  const links = Object.entries(VIEWS).filter(mayOpen).map(([name, { title }]) =>
    h('a', { href: `#/${name}`, 'aria-current': name === (VIEWS[current].under ?? current) ? 'page' : null }, title));
  const nav = h('nav', { 'aria-label': 'Main' }, links);
  const out = button('Sign out', () => signOut().then(ended), { class: 'plain' });
  const header = document.querySelector('header');
  const account = viewer ? [nav, h('span', { class: 'account' }, viewer.username, out)] : [];
  header.replaceChildren(header.firstElementChild, ...account);
}

function showSignIn() {
  document.title = 'Sign in · gql_trader';
  const login = input({ name: 'login', autocomplete: 'username', required: true });
  const password = input({ name: 'password', type: 'password', autocomplete: 'current-password', required: true });
  const remember = input({ name: 'rememberMe', type: 'checkbox' });
  const code = input({ name: 'totpCode', autocomplete: 'one-time-code', inputmode: 'numeric' });
  const second = field('Code of your second factor', code);
  second.hidden = true;

  async function submit({ totpCode, ...given }) {
    try {
      await signIn({ ...given, rememberMe: remember.checked, totpCode: totpCode.trim() || undefined });
    } catch (error) {
      if (error.name === 'RefusedError' && error.has('TOTP_REQUIRED')) {
        second.hidden = false;
        code.focus();
        if (!code.value) return;
      }
      throw error;
    }
    await begin();
  }

  main.replaceChildren(
    form({ class: 'card sign-in' }, submit, bar(heading('Sign in')), field('Username or e-mail', login),
      field('Password', password), second, field('Stay signed in', remember), submitButton('Sign in')),
    h('details', { class: 'sign-in' }, h('summary', {}, 'Create an account'), signUpForm()));
  login.focus();
}

function signUpForm() {
  const password = input({ name: 'password', type: 'password', autocomplete: 'new-password', required: true });
  return form({ class: 'card' }, async (given) => say((await mutate(SIGN_UP, { input: given })).message),
    field('New username', input({ name: 'username', autocomplete: 'username', required: true })),
    field('E-mail', input({ name: 'email', type: 'email', autocomplete: 'email', required: true })),
    field('New password', password, { hint: 'At least 12 characters: upper and lower case, a digit, another one.' }),
    submitButton('Create'));
}

async function begin() {
  viewer = (await query(VIEWER)).me;
  await show();
}

const start = () => begin().catch((error) => fail(error, start));

function ended() {
  if (!viewer) return;
  viewer = null;
  show();
}

onConnection((isLost) => {
  document.getElementById('lost').hidden = !isLost;
  if (isLost) return;
  say('Connected to the server again.');
  document.getElementById('retry')?.click();
});
onSessionEnd(ended);
// What is not saved is lost only to somebody who means it.
const isUnsaved = () => document.querySelector('[data-unsaved]') !== null;
addEventListener('beforeunload', (event) => isUnsaved() && event.preventDefault());
addEventListener('hashchange', ({ oldURL }) => {
  if (!isUnsaved() || confirm('Leave what has not been saved?')) show();
  else history.replaceState(null, '', oldURL);
});
document.body.prepend(button('Skip to the content', () => main.focus(), { class: 'skip' }));
start();
