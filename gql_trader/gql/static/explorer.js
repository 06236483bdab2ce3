'use strict';

// GraphiQL with a sign-in form. The login is a cookie that no script can read; the server heeds it for
// requests with the header below, and for WebSockets of its own pages. An Authorization of the Headers tab
// goes before it.
(() => {
  const { createElement: h, useEffect, useMemo, useRef, useState } = React;
  const ENDPOINT = window.location.origin + window.location.pathname;
  const SESSION = new URL('session', ENDPOINT).href;
  const PROOF = { 'X-CSRF-Protection': '1' };
  const JSON_HEADERS = { ...PROOF, 'content-type': 'application/json', accept: 'application/json' };

  // The backtest that was run last: what an empty id stands for in the variables of an operation.
  let lastBacktest = '';

  function withLastBacktest(parameters) {
    if (parameters.variables?.id !== '' || !lastBacktest) return parameters;
    return { ...parameters, variables: { ...parameters.variables, id: lastBacktest } };
  }

  function createFetcher() {
    const base = GraphiQL.createFetcher({
      url: ENDPOINT,
      subscriptionUrl: ENDPOINT.replace(/^http/, 'ws'),
      enableIncrementalDelivery: false,
    });
    return async (parameters, options) => {
      const result = await base(withLastBacktest(parameters), {
        ...options,
        headers: { ...PROOF, ...options?.headers },
      });
      lastBacktest = result?.data?.runBacktest?.backtest?.id ?? lastBacktest;
      return result;
    };
  }

  async function whoIsSignedIn() {
    const body = JSON.stringify({ query: '{ me { username } }' });
    const response = await fetch(ENDPOINT, { method: 'POST', headers: JSON_HEADERS, body });
    return (await response.json()).data?.me ?? null;
  }

  async function signIn(login, password, totpCode) {
    const body = JSON.stringify({ login, password, ...(totpCode ? { totpCode } : {}) });
    const response = await fetch(SESSION, { method: 'POST', headers: JSON_HEADERS, body });
    const { user, errors } = await response.json();
    if (user) return user;
    const refused = new Error(errors.map((error) => error.message).join(' '));
    refused.needsCode = errors.some((error) => error.code === 'TOTP_REQUIRED');
    throw refused;
  }

  async function signOut() {
    await fetch(SESSION, { method: 'DELETE', headers: PROOF });
  }

  function SignInForm({ onLogin }) {
    const [problem, setProblem] = useState('');
    const [busy, setBusy] = useState(false);
    const [needsCode, setNeedsCode] = useState(false);
    const login = useRef(null);
    const password = useRef(null);
    const code = useRef(null);

    async function submit(event) {
      event.preventDefault();
      setBusy(true);
      setProblem('');
      try {
        onLogin(await signIn(login.current.value, password.current.value, code.current?.value));
      } catch (error) {
        if (error.needsCode) setNeedsCode(true);
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
      needsCode
        ? h('input', {
            ref: code, name: 'code', placeholder: 'Code', 'aria-label': 'Code of your second factor',
            autoComplete: 'one-time-code', autoFocus: true, required: true,
          })
        : null,
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
              `Signed in as ${session.username}`,
            ),
            h('button', { type: 'button', onClick: onLogout }, 'Sign out'),
          )
        : h(SignInForm, { onLogin }),
    );
  }

  function Explorer() {
    const [session, setSession] = useState(null);

    useEffect(() => {
      whoIsSignedIn().then(setSession);
    }, []);

    const fetcher = useMemo(createFetcher, []);
    return h(
      React.Fragment,
      null,
      h(AccountBar, {
        session,
        onLogin: setSession,
        onLogout: () => signOut().then(() => setSession(null)),
      }),
      h(GraphiQL, {
        fetcher,
        defaultTabs: window.GQL_TRADER_EXAMPLES,
        defaultEditorToolsVisibility: 'variables',
        shouldPersistHeaders: false,
      }),
    );
  }

  ReactDOM.createRoot(document.getElementById('explorer')).render(h(Explorer));
})();
