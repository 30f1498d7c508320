package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/cli/output"
)

func newTrust(e *env) *cobra.Command {
	cmd := group("trust", "Pipelines that publish without a stored token", "account",
		newTrustAdd(e), newTrustPending(e),
		lister(e, "list ECOSYSTEM NAME", "List the pipelines that a name trusts",
			func(ctx context.Context, c *client.Client, args []string) ([]resource.Publisher, error) {
				return c.Publishers(ctx, args[0], args[1])
			}, publisherHeadings, publisherRow),
		e.sender("remove ECOSYSTEM NAME ID", "Trust a pipeline no longer; the tokens that it has end", "is removed",
			func(ctx context.Context, c *client.Client, args []string) error {
				return c.RemovePublisher(ctx, args[0], args[1], args[2])
			}),
		newTrustExchange(e), newTrustIssuer(e))
	cmd.Long = `A trusted publisher is a pipeline whose CI provider vouches for it: it exchanges the provider's identity token for one of
ours, which is good for one name and some minutes. npm does that by itself; for images, the identity token is the password of
the user oidc.`
	return cmd
}

// publisherFlags are the flags that describe a publisher.
func publisherFlags(cmd *cobra.Command, p *resource.NewPublisher, claims *[]string) {
	flags := cmd.Flags()
	flags.StringVar(&p.Provider, "provider", "github", "github, gitlab, buildkite, circleci, google, kubernetes or generic")
	flags.StringVar(&p.Issuer, "issuer", "", "whose tokens (default: the provider's, or the registered default)")
	flags.StringArrayVar(claims, "claim", nil, "what the token must say, like repository=acme/ui; may be repeated")
	flags.StringArrayVar(&p.Events, "event", nil, "an event that may start the run; may be repeated (default: all that strangers cannot cause)")
	flags.StringArrayVar(&p.Refs, "ref", nil, "a branch or tag pattern, like refs/tags/v*; may be repeated (default: all)")
	flags.BoolVar(&p.Protected, "protected", false, "only runs for protected branches and tags")
	flags.StringVar(&p.Runner, "runner", "", "only this kind of machine, like github-hosted")
	flags.StringVar(&p.Permission, "permission", "publish", "publish, or stage: a person has to approve each version")
}

// splitClaims reads NAME=VALUE.
func splitClaims(texts []string) (map[string]string, error) {
	claims := map[string]string{}
	for _, text := range texts {
		name, v, ok := strings.Cut(text, "=")
		if !ok || name == "" || v == "" {
			return nil, usageError{fmt.Errorf("--claim %q is not of the form name=value", text)}
		}
		claims[name] = v
	}
	return claims, nil
}

func newTrustAdd(e *env) *cobra.Command {
	var p resource.NewPublisher
	var claims []string
	cmd := asker(e, "add ECOSYSTEM NAME", "Let a pipeline publish a name",
		func(ctx context.Context, c *client.Client, args []string) (resource.Publisher, error) {
			return c.AddPublisher(ctx, args[0], args[1], p)
		}, printPublisher)
	cmd.Example = `  hullmark trust add npm @acme/ui --claim repository=acme/ui --claim workflow=release.yml --ref 'refs/tags/v*'
  hullmark trust add oci acme/shop --provider gitlab --claim project_path=acme/shop --claim ci_config=.gitlab-ci.yml --protected`
	cmd.PreRunE = func(*cobra.Command, []string) (err error) { p.Claims, err = splitClaims(claims); return err }
	publisherFlags(cmd, &p, &claims)
	return cmd
}

func newTrustPending(e *env) *cobra.Command {
	var p resource.NewPublisher
	var claims []string
	add := asker(e, "add ORGANISATION ECOSYSTEM NAME", "Let a pipeline's first publication claim a name that nobody owns",
		func(ctx context.Context, c *client.Client, args []string) (resource.Publisher, error) {
			p.Ecosystem, p.Name = args[1], args[2]
			return c.AddPendingPublisher(ctx, args[0], p)
		}, printPublisher)
	add.Example = "  hullmark trust pending add acme npm left-pad --claim repository=acme/left-pad --claim workflow=release.yml"
	add.PreRunE = func(*cobra.Command, []string) (err error) { p.Claims, err = splitClaims(claims); return err }
	publisherFlags(add, &p, &claims)
	return group("pending", "Pipelines that wait for a name which nobody owns yet", "",
		add,
		lister(e, "list ORGANISATION", "List what waits for an organisation",
			func(ctx context.Context, c *client.Client, args []string) ([]resource.Publisher, error) {
				return c.PendingPublishers(ctx, args[0])
			}, publisherHeadings, publisherRow),
		e.sender("remove ORGANISATION ID", "Wait no longer", "is removed",
			func(ctx context.Context, c *client.Client, args []string) error {
				return c.RemovePendingPublisher(ctx, args[0], args[1])
			}))
}

var publisherHeadings = []string{"ID", "NAME", "PROVIDER", "CLAIMS", "POLICY", "MAY", "LAST USED", "LOOK AT"}

func publisherRow(p resource.Publisher) []string {
	return []string{
		p.ID, p.Ecosystem + " " + p.Name, p.Provider, pairs(p.Claims), publisherPolicy(p), p.Permission,
		day(p.LastUsed, "never"), strings.Join(p.Flags, ", "),
	}
}

func pairs(m map[string]string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, name+"="+m[name])
	}
	return strings.Join(out, " ")
}

func publisherPolicy(p resource.Publisher) string {
	var out []string
	if len(p.Events) > 0 {
		out = append(out, "event "+strings.Join(p.Events, "|"))
	}
	if len(p.Refs) > 0 {
		out = append(out, "ref "+strings.Join(p.Refs, "|"))
	}
	if p.Protected {
		out = append(out, "protected")
	}
	if p.Runner != "" {
		out = append(out, "runner "+p.Runner)
	}
	return strings.Join(out, ", ")
}

func printPublisher(p *output.Printer, made resource.Publisher) {
	p.Line("%s", output.Head(made.ID))
	p.Line("%s %s trusts %s of %s", made.Ecosystem, made.Name, pairs(made.Claims), made.Issuer)
	if text := publisherPolicy(made); text != "" {
		p.Line("only %s", text)
	}
	if made.Pending {
		p.Line("%s", output.Warn("its first publication claims the name for "+made.Organisation))
	}
}

func newTrustExchange(e *env) *cobra.Command {
	var x resource.Exchange
	var file string
	cmd := asker(e, "exchange ECOSYSTEM NAME", "Exchange an identity token for one of ours and print it, once",
		func(ctx context.Context, c *client.Client, args []string) (resource.Exchanged, error) {
			raw, err := readToken(file)
			if err != nil {
				return resource.Exchanged{}, err
			}
			x.Token = raw
			made, err := c.Exchange(ctx, args[0], args[1], x)
			if err == nil {
				e.say("%s may %s %s %s until %s", made.Publisher, made.Permission, args[0], args[1], made.Expires.Format("15:04"))
			}
			return made, err
		}, func(p *output.Printer, made resource.Exchanged) { p.Line("%s", made.Secret) })
	cmd.Long = `Exchange an identity token, from a file or standard input, for one of ours. Bound to digests it is of no use to who
steals it and wants to publish something else.`
	cmd.Example = "  hullmark trust exchange oci acme/shop --token-file id.jwt --digest sha256:… | crane auth login -u token --password-stdin registry.acme.test"
	cmd.Flags().StringVar(&file, "token-file", "-", "where the identity token is; - is standard input")
	cmd.Flags().StringArrayVar(&x.Digests, "digest", nil, "the artifact that may be published; may be repeated (default: any)")
	cmd.Flags().BoolVar(&x.Single, "single", false, "good for one artifact")
	return cmd
}

// maxIDToken bounds what is read of an identity token, in bytes.
const maxIDToken = 64 << 10

func readToken(file string) (string, error) {
	in := os.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", usageError{fmt.Errorf("--token-file: %w", err)}
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxIDToken))
	return strings.TrimSpace(string(raw)), err
}

func newTrustIssuer(e *env) *cobra.Command {
	var i resource.NewIssuer
	var ca, keys string
	add := asker(e, "add URL", "Take the identity tokens of an issuer",
		func(ctx context.Context, c *client.Client, args []string) (resource.Issuer, error) {
			i.URL = args[0]
			return c.AddIssuer(ctx, i)
		}, func(p *output.Printer, made resource.Issuer) {
			p.Line("tokens of %s are taken as those of %s", made.URL, made.Provider)
		})
	add.Long = `Take the identity tokens of a company's own GitHub or GitLab, of a cluster, or of anything else that signs them. Its
keys are fetched when they are needed, never by way of a redirect, and from addresses inside the network only with --internal.`
	add.Example = `  hullmark trust issuer add https://github.acme.test/_services/token --provider github --internal --default
  hullmark trust issuer add https://kubernetes.default.svc --provider kubernetes --keys jwks.json`
	add.PreRunE = func(*cobra.Command, []string) (err error) {
		if i.CA, err = optionalFile("--ca", ca); err != nil {
			return err
		}
		i.Keys, err = optionalFile("--keys", keys)
		return err
	}
	flags := add.Flags()
	flags.StringVar(&i.Provider, "provider", "", "how its tokens are to be read: github, gitlab, circleci, kubernetes or generic")
	flags.BoolVar(&i.Default, "default", false, "publishers of that provider that name no issuer are of this one")
	flags.BoolVar(&i.Internal, "internal", false, "its address may be inside the network")
	flags.StringVar(&ca, "ca", "", "a PEM file with who signs its certificate (default: the server's roots)")
	flags.StringVar(&keys, "keys", "", "a file with its key set, when the server cannot fetch it")
	return group("issuer", "Whose identity tokens are taken", "",
		add,
		lister(e, "list", "List whose tokens are taken",
			func(ctx context.Context, c *client.Client, _ []string) ([]resource.Issuer, error) {
				return c.Issuers(ctx)
			},
			[]string{"ISSUER", "PROVIDER", "REGISTERED BY", "SETTINGS"}, issuerRow),
		e.sender("remove URL", "Take its tokens no longer", "is removed",
			func(ctx context.Context, c *client.Client, args []string) error { return c.RemoveIssuer(ctx, args[0]) }))
}

func issuerRow(i resource.Issuer) []string {
	by := i.CreatedBy
	if i.Builtin {
		by = "(known)"
	}
	var settings []string
	for name, on := range map[string]bool{"default": i.Default, "internal": i.Internal, "static keys": i.Static} {
		if on {
			settings = append(settings, name)
		}
	}
	slices.Sort(settings)
	return []string{i.URL, i.Provider, by, strings.Join(settings, ", ")}
}

func optionalFile(flag, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return "", usageError{fmt.Errorf("%s: %w", flag, err)}
	}
	return string(raw), nil
}
