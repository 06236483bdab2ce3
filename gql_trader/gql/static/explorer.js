'use strict';

// GraphiQL with a sign-in form. The token of the session goes with every request, over HTTP and over
// WebSocket, unless the Headers tab has another Authorization.
(() => {
  const { createElement: h, useEffect, useMemo, useRef, useState } = React;
  const ENDPOINT = window.location.origin + window.location.pathname;
  const STORAGE_KEY = 'gql_trader:session';
  const LOGIN = `mutation SignIn($input: LoginInput!) {
    login(input: $input) { accessToken expiresAt user { username } errors { message } }
  }`;

  function restoreSession() {
    try {
      const session = JSON.parse(window.sessionStorage.getItem(STORAGE_KEY));
      return session && Date.parse(session.expiresAt) > Date.now() ? session : null;
    } catch {
      return null; // Storage that cannot be read is an empty one.
    }
  }

  function keepSession(session) {
    try {
      if (session) window.sessionStorage.setItem(STORAGE_KEY, JSON.stringify(session));
      else window.sessionStorage.removeItem(STORAGE_KEY);
    } catch {
      // Without storage the session lasts until the page is left.
    }
  }

  function headersText(session) {
    return session ? JSON.stringify({ Authorization: `Bearer ${session.token}` }, null, 2) : '';
  }

  // Tokens of this page that were replaced: a tab may still show one of them.
  const replaced = new Set();
  let current = restoreSession();

  function withToken(headers) {
    const result = { ...headers };
    const name = Object.keys(result).find((each) => each.toLowerCase() === 'authorization');
    if (name && !replaced.has(result[name])) return result;
    if (name) delete result[name];
    if (current) result.Authorization = `Bearer ${current.token}`;
    return result;
  }

  // The backtest that was run last: what an empty id stands for in the variables of an operation.
  let lastBacktest = '';

  function withLastBacktest(parameters) {
    if (parameters.variables?.id !== '' || !lastBacktest) return parameters;
    return { ...parameters, variables: { ...parameters.variables, id: lastBacktest } };
  }

  function createFetcher(onLogin) {
    const base = GraphiQL.createFetcher({
      url: ENDPOINT,
      subscriptionUrl: ENDPOINT.replace(/^http/, 'ws'),
      enableIncrementalDelivery: false,
    });
    return async (parameters, options) => {
      const result = await base(withLastBacktest(parameters), {
        ...options,
        headers: withToken(options?.headers),
      });
      // Whoever runs the login mutation in a tab has signed in as well.
      if (result?.data?.login?.accessToken) onLogin(result.data.login);
      lastBacktest = result?.data?.runBacktest?.backtest?.id ?? lastBacktest;
      return result;
    };
  }

  async function signIn(login, password) {
    const response = await fetch(ENDPOINT, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify({ query: LOGIN, variables: { input: { login, password } } }),
    });
    const { data, errors } = await response.json();
    const refused = errors ?? data.login.errors;
    if (refused.length > 0) throw new Error(refused.map((error) => error.message).join(' '));
    return data.login;
  }

  function SignInForm({ onLogin }) {
    const [problem, setProblem] = useState('');
    const [busy, setBusy] = useState(false);
    const login = useRef(null);
    const password = useRef(null);

    async function submit(event) {
      event.preventDefault();
      setBusy(true);
      setProblem('');
      try {
        onLogin(await signIn(login.current.value, password.current.value));
      } catch (error) {
        setProblem(error.message);
        setBusy(false);
      }
    }

    return h(
      'form',
      { onSubmit: submit },
      h('span', { className: 'problem', role: 'alert' }, problem),
      h('input', {
        ref: login, name: 'login', placeholder: 'Username or e-mail', 'aria-label': 'Username or e-mail',
        autoComplete: 'username', required: true,
      }),
      h('input', {
        ref: password, name: 'password', type: 'password', placeholder: 'Password', 'aria-label': 'Password',
        autoComplete: 'current-password', required: true,
      }),
      h('button', { type: 'submit', disabled: busy }, 'Sign in'),
    );
  }

  function AccountBar({ session, onLogin, onLogout }) {
    return h(
      'header',
      { className: 'account' },
      h('span', { className: 'name' }, 'gql_trader'),
      session
        ? h(
            React.Fragment,
            null,
            h(
              'span',
              { role: 'status' },
              `Signed in${session.username ? ` as ${session.username}` : ''}` +
                ` until ${new Date(session.expiresAt).toLocaleTimeString()}`,
            ),
            h('button', { type: 'button', onClick: onLogout }, 'Sign out'),
          )
        : h(SignInForm, { onLogin }),
    );
  }

  function Explorer() {
    const [session, setSession] = useState(current);

    function change(next) {
      if (current) replaced.add(`Bearer ${current.token}`);
      current = next;
      keepSession(next);
      setSession(next);
    }

    function adopt(login) {
      change({
        token: login.accessToken,
        expiresAt: login.expiresAt ?? new Date(Date.now() + 10 * 60_000).toISOString(),
        username: login.user?.username,
      });
    }

    useEffect(() => {
      if (!session) return undefined;
      const timer = setTimeout(() => change(null), Date.parse(session.expiresAt) - Date.now());
      return () => clearTimeout(timer);
    }, [session]);

    const fetcher = useMemo(() => createFetcher(adopt), []);
    const headers = headersText(session);
    return h(
      React.Fragment,
      null,
      h(AccountBar, { session, onLogin: adopt, onLogout: () => change(null) }),
      h(GraphiQL, {
        fetcher,
        headers,
        defaultHeaders: headers,
        defaultTabs: window.GQL_TRADER_EXAMPLES.map((tab) => ({ ...tab, headers })),
        defaultEditorToolsVisibility: 'variables',
        shouldPersistHeaders: false,
      }),
    );
  }

  ReactDOM.createRoot(document.getElementById('explorer')).render(h(Explorer));
})();
