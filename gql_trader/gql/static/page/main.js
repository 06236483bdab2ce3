// Signing in, the ways through the page, and signing out. Each view is a function of the element to fill and of what
// is in the address; the signal tells it that the page has gone elsewhere.

import { mutate, onSessionEnd, query, signIn, signOut } from './client.js';
import { SIGN_UP, VIEWER } from './documents.js';
import { button, field, form, h, heading, input, isExpected, quiet, say, submitButton } from './dom.js';
import { showAdministration } from './admin.js';
import { showBacktest, showBacktests, showComparison } from './backtests.js';
import { showBot, showBots } from './bots.js';
import { showProfit } from './profit.js';
import { showSearch, showSearches } from './searches.js';
import { showStrategies } from './strategies.js';

const listOrOne = (list, one) => (main, context) => (context.id ? one : list)(main, context);
const VIEWS = {
  backtests: { title: 'Backtests', show: listOrOne(showBacktests, showBacktest) },
  compare: { title: 'Compare', show: showComparison, under: 'backtests' },
  strategies: { title: 'Strategies', show: showStrategies },
  searches: { title: 'Searches', show: listOrOne(showSearches, showSearch) },
  bots: { title: 'Bots', show: listOrOne(showBots, showBot) },
  profit: { title: 'Profit', show: showProfit },
  admin: { title: 'Users', show: showAdministration, role: 'ADMIN' },
};

const main = document.getElementById('main');
let viewer = null;
let leaving = new AbortController();

const go = (...parts) => (location.hash = `/${parts.map(encodeURIComponent).join('/')}`);

function where() {
  const [name, id] = location.hash.replace(/^#\/?/, '').split('/').map((part) => new URLSearchParams(`_=${part}`).get('_'));
  const isOpen = Object.hasOwn(VIEWS, name) && [undefined, viewer?.role].includes(VIEWS[name].role);
  return { name: isOpen ? name : 'backtests', id };
}

async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const { name, id } = where();
  showHeader(name);
  if (!viewer) return showSignIn();
  const { title, show: view } = VIEWS[name];
  document.title = `${title} · gql_trader`;
  main.replaceChildren(quiet('Loading…'));
  try {
    await view(main, { id, viewer, signal, go, reload: show });
    if (!signal.aborted) main.querySelector('h1')?.focus();
  } catch (error) {
    if (signal.aborted) return;
    fail(error, show);
  }
}

function fail(error, retry) {
  main.replaceChildren(h('p', { class: 'problem', role: 'alert' }, error.message), button('Try again', retry));
  if (!isExpected(error)) console.error(error);
}

function showHeader(current) {
  const open = Object.entries(VIEWS).filter(([, { under, role }]) => !under && [undefined, viewer?.role].includes(role));
  const links = open.map(([name, { title }]) =>
    h('a', { href: `#/${name}`, 'aria-current': name === (VIEWS[current].under ?? current) ? 'page' : null }, title),
  );
  document.getElementById('header').replaceChildren(
    h('a', { class: 'brand', href: '#/' }, h('img', { src: 'static/page/icon.svg', alt: '', width: 22, height: 22 }), 'gql_trader'),
    h('nav', { 'aria-label': 'Main' }, viewer ? links : []),
    viewer ? h('span', { class: 'account' }, h('span', {}, viewer.username), button('Sign out', leave, { class: 'plain' })) : '',
  );
}

async function leave() {
  await signOut();
  viewer = null;
  await show();
}

function showSignIn() {
  document.title = 'Sign in · gql_trader';
  const login = input({ name: 'login', autocomplete: 'username', required: true });
  const password = input({ name: 'password', type: 'password', autocomplete: 'current-password', required: true });
  const remember = input({ name: 'remember', type: 'checkbox' });
  const code = input({ name: 'code', autocomplete: 'one-time-code', inputmode: 'numeric' });
  const second = field('Code of your second factor', code);
  second.hidden = true;

  async function submit() {
    const given = { login: login.value, password: password.value, rememberMe: remember.checked };
    try {
      await signIn(code.value ? { ...given, totpCode: code.value.trim() } : given);
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
    form({ class: 'card sign-in' }, submit, heading('Sign in'), field('Username or e-mail', login), field('Password', password), second,
      field('Stay signed in', remember), submitButton('Sign in')),
    h('details', { class: 'sign-in' }, h('summary', {}, 'Create an account'), signUpForm()),
  );
  login.focus();
}

function signUpForm() {
  const username = input({ name: 'username', autocomplete: 'username' });
  const email = input({ name: 'email', type: 'email', autocomplete: 'email' });
  const password = input({ name: 'newPassword', type: 'password', autocomplete: 'new-password' });
  const submit = async () => {
    const { message } = await mutate(SIGN_UP, { input: { username: username.value, email: email.value, password: password.value } });
    say(message);
  };
  return form({ class: 'card' }, submit, field('New username', username, { path: 'username' }), field('E-mail', email, { path: 'email' }),
    field('New password', password, { path: 'password', hint: 'At least 12 characters: upper and lower case, a digit, another one.' }),
    submitButton('Create'));
}

async function begin() {
  viewer = (await query(VIEWER)).me;
  await show();
}

onSessionEnd(() => {
  if (!viewer) return;
  viewer = null;
  show();
});
addEventListener('hashchange', () => show());
begin().catch((error) => fail(error, begin));
