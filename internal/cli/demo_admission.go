package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/hullmark/hullmark/internal/app"
)

// startAdmission runs an admission controller beside the server, as it runs in a cluster, and waits until it
// has heard everything. It ends with the demo.
func (w *wormStory) startAdmission(ctx context.Context) error {
	folder := filepath.Join(w.folder, "admission")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	token := filepath.Join(folder, "token")
	if err := os.WriteFile(token, []byte(w.tokens["admission"]), 0o600); err != nil {
		return err
	}
	a, err := app.OpenAdmission(ctx, app.AdmissionConfig{
		Data: folder, Listen: "127.0.0.1:0", Server: w.url, TokenFile: token, Cluster: wormCluster,
		Registries: []string{w.host}, NoInstall: true,
	})
	if err != nil {
		return err
	}
	w.admission = a
	w.beside(func(ctx context.Context) error { return errors.Join(a.Run(ctx), a.Close()) })
	return w.heard(ctx)
}

// heard waits until admission decides from everything that is on the record now.
func (w *wormStory) heard(ctx context.Context) error {
	head := w.app.Record.Head()
	return poll(ctx, 15*time.Second, func() (bool, error) { return w.admission.Head() >= head, nil })
}

// poll asks until it is done.
func poll(ctx context.Context, patience time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s there is still nothing: %w", patience, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// The objects that are reviewed, as far as admission looks at them.
const (
	pod        = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"shop","namespace":%[1]q},"spec":{"containers":[{"name":"shop","image":%[2]q}]}}`
	deployment = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"shop","namespace":%[1]q},"spec":{"template":{"spec":{"containers":[{"name":"shop","image":%[2]q}]}}}}`
)

// reviewed is what admission answered.
type reviewed struct {
	Allowed bool
	Message string
	Patch   string
}

// review asks the webhook, over TLS, what the API server of a cluster asks it.
func (w *wormStory) review(ctx context.Context, hook, namespace, object string) (reviewed, error) {
	raw := fmt.Appendf(nil, object, namespace, w.host+"/"+wormImage)
	var kind struct{ APIVersion, Kind string }
	if err := json.Unmarshal(raw, &kind); err != nil {
		return reviewed{}, err
	}
	group, version, resource := "", "v1", "pods"
	if kind.Kind == "Deployment" {
		group, resource = "apps", "deployments"
	}
	body, err := json.Marshal(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": map[string]any{
		"uid": uuid.NewString(), "operation": "CREATE", "namespace": namespace, "name": "shop",
		"kind":     map[string]string{"group": group, "version": version, "kind": kind.Kind},
		"resource": map[string]string{"group": group, "version": version, "resource": resource},
		"userInfo": map[string]any{"username": "bob"}, "object": json.RawMessage(raw),
	}})
	if err != nil {
		return reviewed{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.admission.URL+"/"+hook, bytes.NewReader(body))
	if err != nil {
		return reviewed{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.admission.CABundle())
	caller := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	defer caller.CloseIdleConnections()
	answer, err := caller.Do(request)
	if err != nil {
		return reviewed{}, err
	}
	defer answer.Body.Close()
	var out struct {
		Response struct {
			Allowed bool
			Status  struct{ Message string }
			Patch   []byte
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&out); err != nil {
		return reviewed{}, fmt.Errorf("admission answered %s: %w", answer.Status, err)
	}
	return reviewed{out.Response.Allowed, out.Response.Status.Message, string(out.Response.Patch)}, nil
}

// get reads from the server as a consumer without an account; what is refused is an error with the reason.
func (w *wormStory) get(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if answer.StatusCode >= 300 {
		return "", fmt.Errorf("%d %s", answer.StatusCode, refusal(body))
	}
	return string(body), nil
}

// refusal is the sentence in an error answer of npm's or OCI's form.
func refusal(body []byte) string {
	var npm struct{ Error string }
	var oci struct{ Errors []struct{ Message string } }
	if json.Unmarshal(body, &npm) == nil && npm.Error != "" {
		return npm.Error
	}
	if json.Unmarshal(body, &oci) == nil && len(oci.Errors) > 0 {
		return oci.Errors[0].Message
	}
	return string(body)
}
