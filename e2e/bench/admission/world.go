package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hullmark/hullmark/internal/admission"
	"github.com/hullmark/hullmark/internal/admission/admissiontest"
	"github.com/hullmark/hullmark/internal/admission/report"
	"github.com/hullmark/hullmark/internal/admission/snapshot"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1/fleetv1connect"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/store/sqlite"
)

// world is the program under test with a server behind it, and the bare handler.
type world struct {
	settings
	folder  string
	fleet   *httptest.Server
	program *exec.Cmd
	bare    *exec.Cmd
	reviews [][]byte

	url, bareURL     string
	roots, bareRoots *x509.CertPool
}

func newWorld(ctx context.Context, s settings) (_ *world, err error) {
	w := &world{settings: s}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.folder, err = os.MkdirTemp("", "hullmark-bench-admission-"); err != nil {
		return nil, err
	}
	w.fleet = httptest.NewServer(record(s).Handler())
	for n := range 1000 {
		w.reviews = append(w.reviews, review(n, s.images))
	}
	if err := w.startProgram(ctx); err != nil {
		return nil, err
	}
	return w, w.startBare(ctx)
}

// record has every image in it, and the policies that come with the program.
func record(s settings) *admissiontest.Fleet {
	f := admissiontest.NewFleet()
	var documents strings.Builder
	for _, name := range policy.ShippedNames() {
		text, _ := policy.ShippedDocument(name)
		documents.WriteString("---\n" + string(text) + "\n")
	}
	f.Policies(documents.String())
	for i := range s.images {
		name := imageName(i)
		repository, tag, _ := strings.Cut(name, ":")
		f.Publish(admissiontest.Record(name, time.Now(), s.components))
		f.Tag(repository, tag, admissiontest.Digest(name))
	}
	return f
}

// free is an address that nobody listened on a moment ago.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (w *world) startProgram(ctx context.Context) error {
	token, data := filepath.Join(w.folder, "token"), filepath.Join(w.folder, "data")
	if err := os.WriteFile(token, []byte("bench"), 0o600); err != nil {
		return err
	}
	address, err := free()
	if err != nil {
		return err
	}
	w.program = exec.CommandContext(ctx, w.hullmark, "admission", "--server", w.fleet.URL, "--token-file", token, "--cluster", "bench",
		"--registry", registry, "--data", data, "--listen", address, "--no-install", "--webhook-url", "https://"+address)
	w.program.Stderr = os.Stderr
	if err := w.program.Start(); err != nil {
		return err
	}
	w.url = "https://" + address + "/validate"
	return w.ready(ctx, "https://"+address+"/readyz", filepath.Join(data, "certificates.json"))
}

// ready waits until the program decides, and learns its authority on the way.
func (w *world) ready(ctx context.Context, url, certificates string) error {
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		var stored struct {
			Current struct{ Cert []byte }
		}
		if raw, err := os.ReadFile(certificates); err == nil && json.Unmarshal(raw, &stored) == nil {
			w.roots = x509.NewCertPool()
			w.roots.AppendCertsFromPEM(stored.Current.Cert)
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.roots, MinVersion: tls.VersionTLS12}}}
			if res, err := client.Get(url); err == nil {
				res.Body.Close()
				client.CloseIdleConnections()
				if res.StatusCode == http.StatusOK {
					return nil
				}
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("the program does not get ready")
}

func (w *world) startBare(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	w.bare = exec.CommandContext(ctx, self, "bare")
	w.bare.Stderr = os.Stderr
	out, err := w.bare.StdoutPipe()
	if err != nil {
		return err
	}
	if err := w.bare.Start(); err != nil {
		return err
	}
	var hello struct {
		URL  string
		Cert []byte
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &hello)
	}
	if err != nil {
		return fmt.Errorf("the bare handler: %w", err)
	}
	cert, err := x509.ParseCertificate(hello.Cert)
	if err != nil {
		return err
	}
	w.bareRoots = x509.NewCertPool()
	w.bareRoots.AddCert(cert)
	w.bareURL = hello.URL
	return nil
}

// serveBare decodes reviews and allows them, until it is ended.
func serveBare() error {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		raw, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(raw, &review)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer := admissionv1.AdmissionReview{
			TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
			Response: &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true},
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"URL": s.URL, "Cert": s.Certificate().Raw}); err != nil {
		return err
	}
	select {}
}

func (w *world) close() {
	for _, cmd := range []*exec.Cmd{w.program, w.bare} {
		if cmd != nil && cmd.Process != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	if w.fleet != nil {
		w.fleet.CloseClientConnections()
		w.fleet.Close()
	}
	_ = os.RemoveAll(w.folder)
}

// countOutbound looks at the program's connections many times, until the returned function is called. It
// counts those that neither came in at the webhook's port nor lead to the server.
func (w *world) countOutbound(ctx context.Context) (stop func() int) {
	ctx, cancel := context.WithCancel(ctx)
	done, most := make(chan struct{}), 0
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			most = max(most, w.foreign())
			time.Sleep(50 * time.Millisecond)
		}
	}()
	return func() int { cancel(); <-done; return most }
}

// foreign counts the TCP connections of the program that do not belong to its work.
func (w *world) foreign() (n int) {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", w.program.Process.Pid))
	inodes := map[string]bool{}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && strings.HasPrefix(target, "socket:[") {
			inodes[strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]")] = true
		}
	}
	server, webhook := portOf(w.fleet.URL), portOf(strings.TrimSuffix(w.url, "/validate"))
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		raw, _ := os.ReadFile(table)
		for _, line := range strings.Split(string(raw), "\n") {
			f := strings.Fields(line)
			if len(f) < 10 || !inodes[f[9]] || strings.HasSuffix(f[1], webhook) || strings.HasSuffix(f[2], server) {
				continue
			}
			n++
		}
	}
	return n
}

// portOf is ":HEX", as the kernel's tables have it.
func portOf(url string) string {
	_, port, _ := net.SplitHostPort(strings.SplitN(url, "//", 2)[1])
	n, _ := net.LookupPort("tcp", port)
	return fmt.Sprintf(":%04X", n)
}

type everywhere struct{}

func (everywhere) Labels(name string) (map[string]string, bool) {
	return map[string]string{"kubernetes.io/metadata.name": name}, true
}

type nowhere struct{}

func (nowhere) Take(report.Statement) {}

// inProcess times decisions from the parsed review to the worded answer.
func (w *world) inProcess(n int) (sample, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	db, err := sqlite.Open(filepath.Join(w.folder, "inside.db"))
	if err != nil {
		return nil, err
	}
	defer db.Close()
	s, err := snapshot.Open(ctx, db, func(_ string, document []byte) (snapshot.Program, error) {
		set, err := policy.Parse(document)
		if err != nil {
			return nil, err
		}
		return policy.Compile(set)
	}, clock.System{})
	if err != nil {
		return nil, err
	}
	synced := make(chan struct{}, 100)
	follower := snapshot.Follower{
		Snapshot: s, Source: fleetv1connect.NewFleetClient(http.DefaultClient, w.fleet.URL), Log: slog.New(slog.DiscardHandler),
		OnRecalls: func(context.Context) { synced <- struct{}{} },
	}
	followed := make(chan error, 1)
	go func() { followed <- follower.Run(ctx) }()
	<-synced
	gate := admission.NewGate(admission.Config{
		Cluster: "bench", Registries: []string{registry}, Snapshot: s, Namespaces: everywhere{}, Decisions: nowhere{}, Clock: clock.System{}, Log: slog.New(slog.DiscardHandler),
	})
	times := make(sample, 0, n)
	for i := range n + len(w.reviews) { // the first round over all reviews warms up
		request, err := admission.ParseReview(w.reviews[i%len(w.reviews)])
		if err != nil {
			return nil, err
		}
		began := time.Now()
		if answer, err := gate.Validate(request); err != nil || !answer.Allowed {
			return nil, fmt.Errorf("%+v, %w", answer, err)
		}
		if i >= len(w.reviews) {
			times = append(times, time.Since(began))
		}
	}
	cancel()
	slices.Sort(times)
	return times, <-followed
}
