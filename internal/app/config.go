// Package app is the wiring: it opens the stores, builds every stage and gate from them and
// serves them. It is the one place where stages meet. main and the tests build the same App.
//
// It holds no logic of its own: what looks like a rule belongs into a stage.
package app

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/console/sso"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/mail"
	"github.com/hullmark/hullmark/internal/recall/report"
	"github.com/hullmark/hullmark/internal/registry/upstream"
)

// Config says where a server keeps its data and how it is reached.
type Config struct {
	// Data is the folder that holds everything: the database, the blobs and the keys. A backup of
	// the folder, taken while the server is stopped, is a full backup. It is created, readable by
	// its owner only.
	Data string
	// Listen is the address to serve on, "host:port"; port 0 picks a free one. Anything but a
	// loopback address carries tokens in the clear unless a TLS proxy stands in front.
	// Default "127.0.0.1:4873".
	Listen string
	// PublicURL is how clients reach the server, without trailing slash. It is written into
	// npm's tarball addresses and OCI's token realm, so a wrong one breaks installs.
	// Default: "http://" and the address that Listen bound.
	PublicURL string
	// Origin names the log in its checkpoints. Changing it makes another log: old bundles no
	// longer verify against the new key. Default "hullmark.local/log".
	Origin string
	// CheckpointEvery is how long a statement may wait until a signed checkpoint covers it.
	// Shorter means more small files. Default 1 s; above 5 s breaks the promise made to auditors.
	CheckpointEvery time.Duration
	// PullsEvery is how long equal pull decisions are counted before they become one statement.
	// Shorter means a longer record; a crash loses at most this much. Default 1 min.
	PullsEvery time.Duration
	// DNS is the name server that is asked for proofs of domains, "ip:port". Whoever answers in its
	// place can prove any domain: name one on a trusted path. Default: the machine's resolver.
	DNS string
	// TrustedRoots are the Sigstores whose attestations are taken, by name. Default: none, and then
	// every publication with provenance is refused.
	TrustedRoots []TrustedRoot
	// ProvenanceIssuers are the OpenID Connect issuers whose workloads may make provenance. Default:
	// GitHub Actions and gitlab.com. Whoever can run a workload there can make provenance, of their own
	// repositories only.
	ProvenanceIssuers []string
	// AdvertiseAttestations tells npm clients of attestations in packuments. A client that does not trust
	// the Sigstore that they were made with reports them as tampering. Default: off; the attestations can
	// be fetched all the same.
	AdvertiseAttestations bool

	// ReleasesOpenFor is how long files may be added to a release after its first one, in ecosystems whose releases
	// consist of several: what is added to a release that everybody has installed is what nobody looks at again.
	// Negative: for ever. Default 14 days.
	ReleasesOpenFor time.Duration
	// Upstreams are the registries that names come from which nobody here has, and how they are asked.
	// Default: none, and then only what was published here is served.
	Upstreams upstream.Settings

	// UpstreamCooldown is how old a version from an upstream must be before it is served, by the time at which it
	// was published there. Shorter lets in what others have not looked at yet. Negative is off. Default 72 h.
	UpstreamCooldown time.Duration

	// Advisories are files and folders with advisories in the OSV format (.json, and .zip archives of such). They are
	// read at the start, and again within a minute when they change: releases that they name are marked, and the versions
	// that repair them do not wait for the cooldown. Default: none, and then nothing is known to be vulnerable.
	Advisories []string

	// Accounts are the settings of passwords, sessions, tokens and second factors; see
	// account.Settings. Its SealKey comes from the file account.key in Data unless it is set.
	Accounts account.Settings
	// SecretScanners are the files with the public keys (ECDSA P-256, PEM) of those who may report
	// leaked secrets, by the key id that they name. None: reports are refused.
	SecretScanners map[string]string

	// NuGet is what is particular to NuGet packages: whose signatures are trusted, and what the registry signs with.
	NuGet NuGetConfig
	// Reports says what follows from reports of malicious packages; see report.Settings.
	Reports report.Settings
	// Contact is where vulnerabilities of the server and malicious packages are reported, and Rules the
	// page with the terms: served as /.well-known/security.txt. Default: none, and then there is no such file.
	Contact, Rules string

	// Mail is the server that sends what accounts are told. Without it nobody is told anything, and no
	// account can be recovered by mail. Default: none.
	Mail *mail.Config
	// SignOn are the identity providers that people may sign in with, beside passwords and passkeys.
	// Who controls one controls the accounts that are linked to it. Default: none.
	SignOn sso.Config

	// Version is what the API calls the program.
	Version string

	// Logger takes the server's events. Default: none.
	Logger *slog.Logger
	// Clock and Random are inputs for tests; nil means the machine's.
	Clock  clock.Clock
	Random io.Reader
}

// DefaultListen is npm people's habit: the port that the best-known private registry uses.
const DefaultListen = "127.0.0.1:4873"

// resolver asks DNS, or whom the machine asks. It fails with code dns-invalid.
func (c *Config) resolver() (*net.Resolver, error) {
	if c.DNS == "" {
		return net.DefaultResolver, nil
	}
	if _, err := netip.ParseAddrPort(c.DNS); err != nil {
		return nil, fault.New(fault.Invalid, "dns-invalid", "%q is not the address of a name server; write it like 127.0.0.53:53", c.DNS).Because(err)
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, c.DNS)
	}}, nil
}

func (c *Config) file(name string) string { return filepath.Join(c.Data, name) }
