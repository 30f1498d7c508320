package app_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/admission/install"
	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/recall"
)

// review is the creation of a pod of an image that nobody knows.
const review = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"4e1c","kind":{"group":"","version":"v1","kind":"Pod"},
	"resource":{"group":"","version":"v1","resource":"pods"},"name":"web","namespace":"shop","operation":"CREATE","userInfo":{"username":"ann"},
	"object":{"metadata":{"name":"web"},"spec":{"containers":[{"name":"app","image":"quay.io/acme/web@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]}}}}`

// admit starts an admission controller that follows a server.
func admit(t *testing.T, a *app.App, s *app.Server) *app.Admission {
	t.Helper()
	admin, err := a.Accounts.AuthenticateSecret(t.Context(), "token", a.AdminToken, "127.0.0.1:1")
	must(t, err)
	secret, _, err := a.Accounts.Enrol(t.Context(), admin, account.Enrolment{Kind: account.AdmissionMember, Name: "prod"})
	must(t, err)
	token := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(token, []byte(secret+"\n"), 0o600))
	c, err := app.OpenAdmission(t.Context(), app.AdmissionConfig{
		Data: t.TempDir(), Listen: "127.0.0.1:0", Server: s.URL, TokenFile: token, Cluster: "prod", NoInstall: true,
		Install: install.Options{URL: "https://127.0.0.1"}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	must(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		must(t, <-ended)
		c.Close()
	})
	return c
}

func reviewed(c *app.Admission) string {
	r := httptest.NewRequest(http.MethodPost, "/validate", bytes.NewReader([]byte(review)))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	c.Handler().ServeHTTP(w, r)
	return w.Body.String()
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

func TestAnAdmissionControllerHearsTheServerAndIsHeard(t *testing.T) {
	t.Parallel()
	a := open(t, app.Config{Data: t.TempDir()})
	s := listen(t, a)
	c := admit(t, a, s)
	eventually(t, "a snapshot", func() bool { return !strings.Contains(reviewed(c), "snapshot-empty") })
	if got := reviewed(c); !strings.Contains(got, `"allowed":true`) || !strings.Contains(got, "has-record") {
		t.Errorf("with the policies that come with the server: %s", got)
	}
	count := func(query string, args ...any) (n int) {
		must(t, a.DB.Query().QueryRowContext(t.Context(), query, args...).Scan(&n))
		return n
	}
	eventually(t, "the decision on the record", func() bool { return count(`SELECT count(*) FROM decision_id WHERE id = '4e1c'`) == 1 })

	admin, err := a.Accounts.AuthenticateSecret(t.Context(), "token", a.AdminToken, "127.0.0.1:1")
	must(t, err)
	if e, err := a.Policies.Explain(t.Context(), admin, "4e1c"); err != nil || e.Outcome != policy.Equal && e.Outcome != policy.Nearby {
		t.Errorf("decided again: %+v, %v", e, err)
	}
	recalls := recall.New(a.Record, a.Accounts, func(context.Context) ([]recall.Member, error) { return nil, nil })
	made, err := recalls.Recall(t.Context(), admin, recall.Order{
		Subject: "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", Reason: "steals credentials",
	})
	must(t, err)
	eventually(t, "the recall decides", func() bool { return strings.Contains(reviewed(c), "steals credentials") })
	eventually(t, "the receipt", func() bool {
		return count(`SELECT count(*) FROM receipt WHERE recall_seq = $1 AND receiver = 'admission/prod' AND outcome = 'enforced'`, made.Seq) == 1
	})
}
