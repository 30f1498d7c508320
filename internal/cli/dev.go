package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/console/sso"
	"github.com/hullmark/hullmark/internal/mail"
)

// ready is what dev tells once it serves.
type ready struct {
	URL    string `json:"url"`
	NPM    string `json:"npm"`
	OCI    string `json:"oci"`
	Data   string `json:"data"`
	Token  string `json:"token,omitempty"` // the first administrator's; at the first start only
	LogKey string `json:"logKey"`
	PID    int    `json:"pid"`
}

func newDev(e *env) *cobra.Command {
	var c app.Config
	var verbose bool
	var roots []string
	var upstreams []string
	var mailFile, signOnFile, upstreamsFile string
	cmd := &cobra.Command{
		Use: "dev", Short: "Start everything in one process on this machine", GroupID: "serve",
		Long: `Start the registries, the record and its log in one process, with embedded storage in one folder.
There is nothing to configure. The first start makes an administrator and prints their token once.

It speaks plain HTTP and listens on loopback. Ctrl-C ends it; the data stays.`,
		Example: "  hullmark dev\n  hullmark dev --data /srv/hullmark --listen 127.0.0.1:5000",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			level := slog.LevelWarn
			if verbose {
				level = slog.LevelDebug
			}
			c.Logger = slog.New(slog.NewTextHandler(e.Err, &slog.HandlerOptions{Level: level}))
			c.Version = Version
			if err := errors.Join(trustedRoots(&c, roots), loadGivenFiles(&c, mailFile, signOnFile), readUpstreams(&c, upstreamsFile, upstreams)); err != nil {
				return err
			}
			return runDev(cmd.Context(), e, c)
		},
	}
	cmd.Flags().StringVar(&c.Data, "data", defaultData(), "folder for the database, the blobs and the keys")
	cmd.Flags().StringVar(&c.Listen, "listen", app.DefaultListen, "address to listen on; port 0 picks a free one")
	cmd.Flags().StringVar(&c.PublicURL, "public-url", "", "how clients reach the server, when a proxy stands in front")
	cmd.Flags().StringVar(&c.DNS, "dns", "", "name server to ask for proofs of domains, ip:port (default: the machine's)")
	cmd.Flags().StringArrayVar(&roots, "trusted-root", nil, "NAME=FILE of a Sigstore's trusted_root.json whose attestations are taken; may be repeated")
	cmd.Flags().StringArrayVar(&c.ProvenanceIssuers, "provenance-issuer", nil, "OpenID Connect issuer whose workloads may make provenance; may be repeated (default: GitHub Actions and gitlab.com)")
	cmd.Flags().BoolVar(&c.AdvertiseAttestations, "advertise-attestations", false, "tell npm clients of attestations; only where every client trusts the Sigstore that made them")
	cmd.Flags().StringArrayVar(&c.NuGet.AuthorRoots, "nuget-author-root", nil, "PEM file with certificates that signatures of NuGet packages' authors must end at; may be repeated")
	cmd.Flags().StringArrayVar(&c.NuGet.TimestampRoots, "nuget-timestamp-root", nil, "PEM file with certificates of authorities whose time stamps in NuGet signatures are believed; may be repeated")
	cmd.Flags().StringVar(&c.NuGet.Certificate, "nuget-certificate", "", "PEM file with the certificate that the registry signs NuGet packages with, and those above it; needs an https public URL")
	cmd.Flags().StringVar(&c.NuGet.Key, "nuget-key", "", "PEM file with the RSA key of --nuget-certificate")
	cmd.Flags().StringArrayVar(&upstreams, "upstream", nil, "ECOSYSTEM=URL of the registry that names come from which nobody here has; may be repeated, and then the first that knows a name answers")
	cmd.Flags().StringVar(&upstreamsFile, "upstreams", "", "YAML file that names upstreams with their hosts and credentials, and how they are asked")
	cmd.Flags().Var(&ageFlag{&c.UpstreamCooldown}, "cooldown", "how old a version from an upstream must be before it is served; 0 is off")
	cmd.Flags().StringArrayVar(&c.Advisories, "advisories", nil, "folder or file of advisories in the OSV format (.json, or .zip as osv.dev has them), read again when it changes; may be repeated")
	accountFlags(cmd, &c)
	reportFlags(cmd, &c)
	cmd.Flags().DurationVar(&c.ReleasesOpenFor, "releases-open-for", 0, "how long files may be added to a release of several files; negative for ever (default 336h)")
	cmd.Flags().StringVar(&mailFile, "mail", "", "YAML file that names the mail server; without it accounts are told nothing by mail")
	cmd.Flags().StringVar(&signOnFile, "sso", "", "YAML file that names identity providers for single sign-on")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "log what happens, to standard error")
	return cmd
}

// trustedRoots reads the values of --trusted-root.
func trustedRoots(c *app.Config, values []string) error {
	for _, v := range values {
		name, file, ok := strings.Cut(v, "=")
		if !ok || name == "" || file == "" {
			return usageError{fmt.Errorf("--trusted-root takes NAME=FILE, like public=trusted_root.json; not %q", v)}
		}
		c.TrustedRoots = append(c.TrustedRoots, app.TrustedRoot{Name: name, File: file})
	}
	return nil
}

// loadGivenFiles reads the configuration files that were named.
func loadGivenFiles(c *app.Config, mailFile, signOnFile string) error {
	if mailFile != "" {
		m, err := mail.Load(mailFile)
		if err != nil {
			return err
		}
		c.Mail = &m
	}
	if signOnFile == "" {
		return nil
	}
	var err error
	c.SignOn, err = sso.Load(signOnFile)
	return err
}

// defaultData is where the data lives when nothing is said.
func defaultData() string {
	if dir := os.Getenv("HULLMARK_DATA"); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "hullmark-data"
	}
	return filepath.Join(home, ".local", "share", "hullmark")
}

func runDev(ctx context.Context, e *env, c app.Config) error {
	a, err := app.Open(ctx, c)
	if err != nil {
		return err
	}
	defer a.Close()
	s, err := a.Listen()
	if err != nil {
		return err
	}
	data, err := filepath.Abs(c.Data)
	if err != nil {
		return err
	}
	r := ready{
		URL: s.URL, NPM: s.URL + "/npm/", OCI: hostOf(s.URL), Data: data,
		Token: a.AdminToken, LogKey: a.LogKey, PID: os.Getpid(),
	}
	if err := e.announce(r); err != nil {
		return err
	}
	if !s.Loopback() {
		e.say("warning: %s can be reached from other machines, and tokens travel in clear; put a TLS proxy in front", c.Listen)
	}
	err = s.Run(ctx)
	if err == nil && ctx.Err() != nil {
		e.say("stopped; the data is in %s", data)
	}
	return err
}

func hostOf(url string) string {
	_, host, _ := strings.Cut(url, "://")
	return host
}

// announce prints what a user needs next; with -o json one line that a script can read.
func (e *env) announce(r ready) error {
	if e.format == output.JSON {
		return json.NewEncoder(e.Out).Encode(r)
	}
	return e.printer().Print(r, func(p *output.Printer) {
		p.Line("%s  %s", output.Good("Hullmark is ready"), r.URL)
		p.Line("data in %s   log key %s\n", r.Data, r.LogKey)
		if r.Token != "" {
			p.Line("%s", output.Head("The administrator's token (shown once, keep it)"))
			p.Line("  export HULLMARK_URL=%s", r.URL)
			p.Line("  export HULLMARK_TOKEN=%s\n", r.Token)
		} else {
			p.Line("%s\n", output.Dim("The administrator's token was shown at the first start; lost it? Stop the server, then: hullmark admin recover"))
		}
		p.Line("%s", output.Head("Own a name, then publish to it"))
		p.Line("  hullmark org create acme")
		p.Line("  hullmark namespace claim npm @acme --org acme")
		p.Line("  hullmark namespace claim oci acme --org acme\n")
		p.Line("%s", output.Head("npm: put this into ~/.npmrc, or the project's (where pnpm does not expand variables)"))
		p.Line("  @acme:registry=%s", r.NPM)
		p.Line("  %s:_authToken=${HULLMARK_TOKEN}\n", strings.TrimPrefix(r.NPM, "http:"))
		p.Line("%s", output.Head("images"))
		p.Line("  echo $HULLMARK_TOKEN | docker login %s -u admin --password-stdin", r.OCI)
		p.Line("  echo $HULLMARK_TOKEN | skopeo login --tls-verify=false -u admin --password-stdin %s", r.OCI)
		p.Line("  skopeo copy --dest-tls-verify=false docker-archive:image.tar docker://%s/acme/app:1\n", r.OCI)
		p.Line("%s", output.Dim(fmt.Sprintf("Ctrl-C stops it (pid %d).", r.PID)))
	})
}
