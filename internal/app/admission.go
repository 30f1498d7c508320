package app

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/hullmark/hullmark/internal/admission"
	"github.com/hullmark/hullmark/internal/admission/certs"
	"github.com/hullmark/hullmark/internal/admission/install"
	"github.com/hullmark/hullmark/internal/admission/report"
	"github.com/hullmark/hullmark/internal/admission/snapshot"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1/fleetv1connect"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/store"
	"github.com/hullmark/hullmark/internal/store/sqlite"
)

const (
	// reviewTimeout is for reading a review or writing its answer; the API server itself waits 3 s.
	reviewTimeout = 10 * time.Second
	tendEvery     = time.Minute
	// namespacePatience is how long serving waits for the labels of namespaces.
	namespacePatience = 10 * time.Second
)

// AdmissionConfig says how an admission controller is reached and what it follows.
type AdmissionConfig struct {
	// Data is the folder for the snapshot and for the decisions that the server does not have yet. An
	// emptied one means: no decisions until the server was heard.
	Data string
	// Listen is the address for the API server's calls, "host:port".
	Listen string
	// Server is the Hullmark server's address, and TokenFile the token of the enrolment. The file is read at
	// each call, so that it can be replaced. ServerCA is a file of authorities to trust beside the system's.
	Server    string
	TokenFile string
	ServerCA  string
	// Cluster is this cluster's name in scopes and on the record. One name for two clusters mixes their
	// decisions up.
	Cluster string
	// Registries are the hosts under which the cluster knows the server's repositories. A wrong one leaves
	// tags unresolved, so their images count as unknown.
	Registries []string
	// Controllers are accounts beside the cluster's own that are believed about the owners of pods.
	Controllers []string
	// Kubeconfig is the cluster to install the webhook into. Default: the one that the process runs in; outside of
	// any, nothing is installed and labels of namespaces are unknown.
	Kubeconfig string
	// Install is how the API server reaches the webhook.
	Install install.Options
	// NoInstall leaves the webhook configurations to somebody else, who then has to keep their CA bundle current.
	NoInstall bool
	// ClientCA is a file of the authorities that may call, where the API server is configured to show a certificate.
	// Default: anybody who reaches the port may ask, and so may fill the record with questions.
	ClientCA string
	// StaleAfter is the age of the snapshot that warnings begin at. Default 1 h.
	StaleAfter time.Duration

	Logger *slog.Logger
	Clock  clock.Clock
	Random io.Reader
}

// Admission is an admission controller with its files open.
type Admission struct {
	// URL is where it listens.
	URL string

	config   AdmissionConfig
	db       *store.DB
	lock     *os.File
	listener net.Listener
	client   kubernetes.Interface // nil outside of a cluster
	certs    *certs.Keeper
	snapshot *snapshot.Snapshot
	spool    *report.Spool
	receipts *admission.Receipts
	spaces   *install.Namespaces
	metrics  *admission.Metrics
}

// OpenAdmission opens the data folder and binds the address. Close must be called.
func OpenAdmission(ctx context.Context, c AdmissionConfig) (_ *Admission, err error) {
	c.applyDefaults()
	a := &Admission{config: c}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	if a.lock, err = lock(c.Data); err != nil {
		return nil, err
	}
	if a.db, err = sqlite.Open(filepath.Join(c.Data, "admission.db")); err != nil {
		return nil, err
	}
	if a.snapshot, err = snapshot.Open(ctx, a.db, compilePolicies, c.Clock); err != nil {
		return nil, err
	}
	if a.spool, err = report.Open(ctx, a.db, report.DefaultLimit, c.Random, c.Logger); err != nil {
		return nil, err
	}
	a.receipts = admission.NewReceipts(c.Cluster, a.snapshot, a.spool, c.Clock, c.Logger)
	if a.listener, err = net.Listen("tcp", c.Listen); err != nil {
		return nil, fault.New(fault.Conflict, "address-unusable",
			"%s cannot be listened on (%v); choose another with --listen", c.Listen, err).Because(err)
	}
	a.URL = "https://" + a.listener.Addr().String()
	if err := a.joinCluster(); err != nil {
		return nil, err
	}
	a.metrics = &admission.Metrics{Waiting: a.spool.Waiting, Lost: a.spool.Lost, Expires: a.certs.Expires}
	return a, nil
}

func (c *AdmissionConfig) applyDefaults() {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
}

func compilePolicies(_ string, document []byte) (snapshot.Program, error) {
	set, err := policy.Parse(document)
	if err != nil {
		return nil, err
	}
	return policy.Compile(set)
}

// joinCluster finds the cluster, if there is one, and the place of the certificates: a secret that all
// replicas share, or a file.
func (a *Admission) joinCluster() error {
	client, inside, err := kubeClient(a.config.Kubeconfig)
	if err != nil {
		return err
	}
	var certificates certs.Store = certs.File(filepath.Join(a.config.Data, "certificates.json"))
	if client != nil {
		a.client = client
		if a.spaces, err = install.NewNamespaces(client); err != nil {
			return err
		}
	}
	if inside {
		certificates = install.Secret{Client: client, Namespace: a.config.Install.Namespace, Name: install.Name}
	}
	if a.config.Install.URL = strings.TrimSuffix(a.config.Install.URL, "/"); a.config.Install.URL == "" && !inside {
		a.config.Install.URL = a.URL // from outside of a cluster there is no service to be called through
	}
	a.certs = certs.NewKeeper(certificates, a.serverNames(), a.config.Clock, a.config.Logger)
	return nil
}

// kubeClient returns no client where there is no cluster. inside reports whether the process runs in it.
func kubeClient(kubeconfig string) (client kubernetes.Interface, inside bool, err error) {
	config, err := rest.InClusterConfig()
	switch {
	case kubeconfig != "":
		config, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	case errors.Is(err, rest.ErrNotInCluster):
		return nil, false, nil
	default:
		inside = true
	}
	if err != nil {
		return nil, false, fault.New(fault.Invalid, "kubeconfig-invalid",
			"the cluster cannot be addressed (%v); check --kubeconfig, or the pod's service account", err).Because(err)
	}
	config.UserAgent = "hullmark-admission"
	client, err = kubernetes.NewForConfig(config)
	return client, inside, err
}

// serverNames are those that the API server may call the webhook by.
func (a *Admission) serverNames() []string {
	o := a.config.Install
	if u, err := url.Parse(o.URL); err == nil && u.Hostname() != "" {
		return []string{u.Hostname()}
	}
	if o.Namespace != "" && o.Service != "" {
		name := o.Service + "." + o.Namespace + ".svc"
		return []string{name, name + ".cluster.local"}
	}
	host, _, err := net.SplitHostPort(a.listener.Addr().String())
	if err != nil || host == "" {
		return []string{"localhost"}
	}
	return []string{host}
}

// Run serves, follows and reports until ctx ends.
func (a *Admission) Run(ctx context.Context) error {
	if _, err := a.certs.Tend(ctx); err != nil {
		return err
	}
	server, err := a.server()
	if err != nil {
		return err
	}
	fleet, err := a.fleet()
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		a.namespacesKnown(gctx)
		if err := server.ServeTLS(a.listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-gctx.Done()
		return drain(context.WithoutCancel(ctx), server, shutdownTimeout)
	})
	follower := snapshot.Follower{Snapshot: a.snapshot, Source: fleet, Log: a.config.Logger, OnRecalls: a.receipts.Wake}
	g.Go(func() error { return follower.Run(gctx) })
	g.Go(func() error { return a.receipts.Run(gctx) })
	g.Go(func() error { return a.spool.Run(gctx, fleet) })
	g.Go(func() error { return a.inCluster(gctx) })
	return g.Wait()
}

// inCluster keeps the certificates, and in a cluster the webhook configurations and what is known of namespaces.
func (a *Admission) inCluster(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if a.client != nil {
		g.Go(func() error { return a.spaces.Run(ctx) })
	}
	g.Go(func() error {
		if a.client == nil || a.config.NoInstall {
			return every(ctx, tendEvery, func(ctx context.Context) {
				if _, err := a.certs.Tend(ctx); err != nil {
					a.config.Logger.Error("the certificates cannot be renewed", "error", err)
				}
			})
		}
		// The API server is asked to call only once there is something to decide from.
		if !a.spaces.Synced(ctx) || !a.whole(ctx) {
			return nil
		}
		r := install.Reconciler{Client: a.client, Options: a.config.Install, Certs: a.certs, Log: a.config.Logger}
		return r.Run(ctx)
	})
	return g.Wait()
}

// namespacesKnown waits until the labels of namespaces are known, so that a restart does not deny what it
// would know enough about a moment later; but not for an API server that is away.
func (a *Admission) namespacesKnown(ctx context.Context) {
	if a.client == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, namespacePatience)
	defer cancel()
	if !a.spaces.Synced(ctx) {
		a.config.Logger.Warn("the labels of namespaces are not known yet; policies that ask for them fail")
	}
}

// whole waits until the snapshot can be decided from. It reports false when ctx ended.
func (a *Admission) whole(ctx context.Context) bool {
	for !a.snapshot.Status().Whole {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(200 * time.Millisecond):
		}
	}
	return true
}

func (a *Admission) server() (*http.Server, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: a.certs.GetCertificate}
	if a.config.ClientCA != "" {
		pool, err := pool(a.config.ClientCA, x509.NewCertPool())
		if err != nil {
			return nil, err
		}
		conf.ClientCAs, conf.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	return &http.Server{
		Handler: a.Handler(), TLSConfig: conf, ReadHeaderTimeout: headerTimeout, ReadTimeout: reviewTimeout, WriteTimeout: reviewTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(a.config.Logger.Handler(), slog.LevelDebug),
	}, nil
}

// Handler returns the webhooks.
func (a *Admission) Handler() http.Handler {
	var spaces admission.Namespaces = unknownNamespaces{}
	if a.spaces != nil {
		spaces = a.spaces
	}
	gate := admission.NewGate(admission.Config{
		Cluster: a.config.Cluster, Registries: a.config.Registries, Controllers: a.config.Controllers, StaleAfter: a.config.StaleAfter,
		Snapshot: a.snapshot, Namespaces: spaces, Decisions: a.spool, Clock: a.config.Clock, Log: a.config.Logger,
	})
	return gate.Handler(a.metrics)
}

// unknownNamespaces is what is known of namespaces outside of a cluster.
type unknownNamespaces struct{}

// Labels implements admission.Namespaces.
func (unknownNamespaces) Labels(string) (map[string]string, bool) { return nil, false }

func (a *Admission) fleet() (fleetv1connect.FleetClient, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if a.config.ServerCA != "" {
		system, err := x509.SystemCertPool()
		if err != nil {
			return nil, err
		}
		roots, err := pool(a.config.ServerCA, system)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	}
	client := &http.Client{Transport: tokenTransport{file: a.config.TokenFile, next: transport}}
	return fleetv1connect.NewFleetClient(client, strings.TrimSuffix(a.config.Server, "/")), nil
}

func pool(file string, into *x509.CertPool) (*x509.CertPool, error) {
	raw, err := os.ReadFile(file)
	if err == nil && !into.AppendCertsFromPEM(raw) {
		err = errors.New("there is no certificate in it")
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "authorities-unreadable", "%s cannot be used: %v; name a file of PEM certificates", file, err).Because(err)
	}
	return into, nil
}

// tokenTransport adds the enrolment's token, as the file has it now.
type tokenTransport struct {
	file string
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t tokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	raw, err := os.ReadFile(t.file)
	if err != nil {
		return nil, fmt.Errorf("read the enrolment's token: %w", err)
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(raw)))
	return t.next.RoundTrip(r)
}

// Close closes the files and the listener.
func (a *Admission) Close() error {
	var errs []error
	if a.listener != nil {
		if err := a.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if a.db != nil {
		errs = append(errs, a.db.Close())
	}
	if a.lock != nil {
		errs = append(errs, a.lock.Close())
	}
	return errors.Join(errs...)
}

// Head is the size of the record that decisions are made from now.
func (a *Admission) Head() int64 { return a.snapshot.Status().Head }

// CABundle returns the PEM certificates by which callers know the webhook.
func (a *Admission) CABundle() []byte { return a.certs.Bundle() }

// SnapshotWritten reports whether a restart without the server would have something to decide from.
func (a *Admission) SnapshotWritten() bool { return a.snapshot.Written() }
