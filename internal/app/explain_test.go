package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/trace/tracetest"
)

// cluster is a server with an admission controller that follows it, and an image with a vendored release.
type cluster struct {
	*app.App
	t       *testing.T
	handler http.Handler
	admin   evidence.Actor
	image   string
	release string
	n       int
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	a := open(t, app.Config{Data: t.TempDir()})
	s := listen(t, a)
	c := &cluster{App: a, t: t}
	var err error
	c.admin, err = a.Accounts.AuthenticateSecret(t.Context(), "token", a.AdminToken, "192.0.2.1:1")
	must(t, err)
	b := tracetest.NewBuilder(t.Context(), a.Record)
	c.release = string(b.Release("mallory", "@acme/kit", "4.2.1", tracetest.Files(map[string]string{"package/x.js": "payload"}, 500)))
	c.image = string(b.Image("alice", "acme/shop", "1", nil, b.Layer("vendor", nil, tracetest.Files(map[string]string{"app/x.js": "payload"}, 500))))
	must(t, b.Append())
	secret, _, err := a.Accounts.Enrol(t.Context(), c.admin, account.Enrolment{Kind: account.AdmissionMember, Cluster: "prod", Name: "prod"})
	must(t, err)
	token := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(token, []byte(secret), 0o600))
	controller, err := app.OpenAdmission(t.Context(), app.AdmissionConfig{
		Data: t.TempDir(), Listen: "127.0.0.1:0", Server: s.URL, TokenFile: token, Cluster: "prod", Registries: []string{"registry.test"},
	})
	must(t, err)
	background(t, controller)
	c.handler = controller.Handler()
	return c
}

// ask sends a pod with the image to the webhook and returns its uid and whether it may run.
func (c *cluster) ask(namespace string) (uid string, allowed bool) {
	c.t.Helper()
	c.n++
	uid = fmt.Sprintf("review-%d", c.n)
	pod := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shop", "namespace": %q},
		"spec": {"containers": [{"name": "web", "image": "registry.test/acme/shop:1"}]}}`, namespace)
	review := fmt.Sprintf(`{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": %q,
		"kind": {"group": "", "version": "v1", "kind": "Pod"}, "resource": {"group": "", "version": "v1", "resource": "pods"},
		"name": "shop", "namespace": %q, "operation": "CREATE", "userInfo": {"username": "dev"}, "object": %s}}`, uid, namespace, pod)
	r := httptest.NewRequestWithContext(c.t.Context(), "POST", "/validate", strings.NewReader(review))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	var answer struct {
		Response struct {
			Allowed bool `json:"allowed"`
		} `json:"response"`
	}
	if w.Code != http.StatusOK {
		return uid, false // nothing was heard yet
	}
	must(c.t, json.Unmarshal(w.Body.Bytes(), &answer))
	return uid, answer.Response.Allowed
}

// until asks until the answer is the one wanted, and then once more.
func (c *cluster) until(namespace string, want bool) (uid string) {
	c.t.Helper()
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(10 * time.Millisecond) {
		if _, allowed := c.ask(namespace); allowed == want {
			uid, _ = c.ask(namespace)
			return uid
		}
	}
	c.t.Fatalf("it never was allowed=%v", want)
	return ""
}

// explain waits until the decision is on the record.
func (c *cluster) explain(uid string) *policy.Explanation {
	c.t.Helper()
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		e, err := c.Policies.Explain(c.t.Context(), c.admin, uid)
		if err == nil {
			return e
		}
		if fault.As(err).Code != "decision-unknown" || time.Since(begin) > time.Minute {
			c.t.Fatal(err)
		}
	}
}

func TestWhatTheAdmissionGateDecidedComesOutTheSameAgain(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	uids := map[string]string{} // by uid, the verdict
	uids[c.until("staging", true)] = "allow"
	_, err := c.Record.Append(t.Context(), nil, evidence.Draft{
		Subjects: []evidence.Subject{{Name: c.release}}, Predicate: evidence.Recall{Reason: "worm", Actor: c.admin, Admin: true},
		Issuer: c.admin.Issuer(), Assurance: evidence.Authenticated,
	})
	must(t, err)
	uids[c.until("staging", false)] = "deny"
	asked, err := c.Policies.RequestException(t.Context(), evidence.Actor{Account: "dev"}, evidence.Exception{
		Policy: "no-recalled-content", Scope: evidence.ExceptionScope{Namespace: "staging"}, Reason: "inert there", Ticket: "T-1",
		Expires: time.Now().Add(time.Hour),
	})
	must(t, err)
	_, err = c.Policies.ApproveException(t.Context(), c.admin, asked.ID)
	must(t, err)
	excepted := c.until("staging", true)
	uids[excepted] = "allow"
	uids[c.until("web", false)] = "deny"
	must(t, c.Policies.RevokeException(t.Context(), c.admin, asked.ID, "enough"))
	uids[c.until("staging", false)] = "deny"
	for uid, verdict := range uids {
		e := c.explain(uid)
		// A gate that is taking statements in decides between two heads; see policy.Nearby.
		if e.Outcome != policy.Equal && e.Outcome != policy.Nearby || e.Decision.Verdict != verdict {
			t.Errorf("%s, %s: %s %q %q", uid, e.Decision.Verdict, e.Outcome, e.Differences, e.Notes)
		}
		if used := len(e.Decision.Exceptions) > 0; used != (uid == excepted) {
			t.Errorf("%s was made under %v", uid, e.Decision.Exceptions)
		}
	}
}

// background runs the controller until the test ends.
func background(t *testing.T, controller *app.Admission) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- controller.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the controller ended with: %v", err)
		}
		controller.Close()
	})
}
