package app_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/api/authztest"
	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/publish"
)

// open opens a data folder until the test ends.
func open(t testing.TB, c app.Config) *app.App {
	t.Helper()
	a, err := app.Open(t.Context(), c)
	must(t, err)
	t.Cleanup(func() { a.Close() })
	return a
}

// listen runs a server on a free port until the test ends.
func listen(t testing.TB, a *app.App) *app.Server {
	t.Helper()
	a.Config.Listen = "127.0.0.1:0"
	s, err := a.Listen()
	must(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with: %v", err)
		}
	})
	return s
}

// matrixServer is a server with everything mounted and the matrix's people.
func matrixServer(t *testing.T) (*app.App, *app.Server, *authztest.People) {
	t.Helper()
	a := open(t, app.Config{Data: t.TempDir(), Accounts: account.Settings{Freeze: -1}, Contact: "security@hullmark.example"})
	s := listen(t, a)
	people := authztest.PopulateAs(t, a.Accounts, a.AdminToken)
	// Every cell has a package of its own, which is what a worm looks like.
	must(t, a.Publish.SetSettings(t.Context(), people.Actor(t, authztest.Admin), publish.Scope{}, publish.Settings{
		Rules: map[string]publish.Stage{publish.Burst: publish.Off},
	}))
	return a, s, people
}

// send answers a request as role, past the network.
func send(h http.Handler, r *http.Request, authorization string) *httptest.ResponseRecorder {
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
