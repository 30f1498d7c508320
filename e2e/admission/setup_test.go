package admission_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/hullmark/hullmark/e2e/cluster"
	"github.com/hullmark/hullmark/internal/admission/admissiontest"
	"github.com/hullmark/hullmark/internal/admission/install"
	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/policy"
)

const registry = "127.0.0.1:4873"

// world is a cluster with the webhook in it and a server behind the webhook.
type world struct {
	fleet    *admissiontest.Fleet
	stop     func() // ends the fleet service
	admit    *app.Admission
	end      func() // ends the webhook
	client   *kubernetes.Clientset
	rest     *rest.Config
	warnings *warnings
	config   app.AdmissionConfig
}

// warnings collects what the API server tells its client.
type warnings struct{ list chan string }

func (w *warnings) HandleWarningHeader(_ int, _ string, text string) {
	select {
	case w.list <- text:
	default:
	}
}

// take returns the warnings since the last call.
func (w *warnings) take() string {
	var out []string
	for {
		select {
		case text := <-w.list:
			out = append(out, text)
		default:
			return strings.Join(out, "\n")
		}
	}
}

func start(t *testing.T) *world {
	t.Helper()
	return startWith(t, nil)
}

func startWith(t *testing.T, change func(*testing.T, *cluster.Cluster, *app.AdmissionConfig)) *world {
	t.Helper()
	c := cluster.Start(t, cluster.Options{})
	w := &world{fleet: admissiontest.NewFleet(), warnings: &warnings{list: make(chan string, 1000)}}
	config, err := c.Config()
	if err != nil {
		t.Fatal(err)
	}
	config.WarningHandler = w.warnings
	w.rest = config
	if w.client, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	policies := ""
	for _, name := range policy.ShippedNames() {
		text, _ := policy.ShippedDocument(name)
		policies += "---\n" + string(text) + "\n"
	}
	w.fleet.Policies(policies)
	for _, name := range []string{"acme/shop:1", "acme/tools:1", "acme/data:1", "acme/evil:1"} {
		repository, tag, _ := strings.Cut(name, ":")
		w.fleet.Publish(admissiontest.Record(name, time.Now(), 3))
		w.fleet.Tag(repository, tag, admissiontest.Digest(name))
	}
	w.fleet.Recalls(&fleetv1.Recall{
		Seq: 5, Subjects: []string{"pkg:npm/%40acme/evil@1.0.0"}, Images: []string{admissiontest.Digest("acme/evil:1")},
		Reason: "steals credentials", Account: "dora",
	})
	server := w.fleet.Serve(t)
	w.stop = func() { server.CloseClientConnections(); server.Close() }
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.config = app.AdmissionConfig{
		Data: t.TempDir(), Listen: "127.0.0.1:0", Server: server.URL, TokenFile: token, Cluster: "test", Registries: []string{registry},
		Kubeconfig: c.Kubeconfig, Install: install.Options{Namespace: "hullmark", Service: install.Name}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if change != nil {
		change(t, c, &w.config)
	}
	w.end = w.run(t)
	w.ready(t)
	return w
}

// run starts the webhook on the data folder; the returned function ends it.
func (w *world) run(t *testing.T) (stop func()) {
	t.Helper()
	a, err := app.OpenAdmission(t.Context(), w.config)
	if err != nil {
		t.Fatal(err)
	}
	w.admit = a
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the webhook ended with %v", err)
		}
		a.Close()
	}
	t.Cleanup(stop)
	return stop
}

// restart ends the webhook and starts it again on the same folder.
func (w *world) restart(t *testing.T) {
	t.Helper()
	w.end()
	w.end = w.run(t)
	w.ready(t)
}

// impersonate writes a kubeconfig that acts as a user.
func impersonate(t *testing.T, kubeconfig, user string) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range config.AuthInfos {
		info.Impersonate = user
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// ready waits until the API server asks the webhook: it follows configurations within a second or so.
func (w *world) ready(t *testing.T) {
	t.Helper()
	eventually(t, "the API server asks both webhooks", func() bool {
		dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
		_, err := w.create(t, pod("probe", registry+"/acme/evil:1"), dry)
		p, _ := w.create(t, pod("probe", registry+"/acme/shop:1"), dry)
		return err != nil && strings.Contains(err.Error(), "recalled") && p != nil && len(p.Spec.Containers) == 1 &&
			strings.Contains(p.Spec.Containers[0].Image, "@")
	})
	w.warnings.take()
}

func (w *world) create(t *testing.T, p *corev1.Pod, options metav1.CreateOptions) (*corev1.Pod, error) {
	t.Helper()
	return w.client.CoreV1().Pods("default").Create(t.Context(), p, options)
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
		time.Sleep(50 * time.Millisecond) // polls another process
	}
}

func pod(name, image string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: image}}},
	}
}

// denied checks that the API server refused for the webhook's reason.
func denied(t *testing.T, err error, parts ...string) {
	t.Helper()
	if !apierrors.IsForbidden(err) {
		t.Fatalf("got %v, want a denial", err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the denial does not say %q: %v", part, err)
		}
	}
}

var _ rest.WarningHandler = (*warnings)(nil)
