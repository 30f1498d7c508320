package cli

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/cli/output"
)

func newNamespace(e *env) *cobra.Command {
	return group("namespace", "Names that organisations own: npm scopes, image path prefixes, groupIds", "account",
		newClaim(e), newNamespaceList(e), newProve(e), newSigningKey(e), newOffer(e), newAccept(e),
		newVisibility(e, "publish", "Let anyone read what is in it", "public"),
		newVisibility(e, "hide", "Let members only read what is in it", "private"),
		newCooldown(e))
}

func newCooldown(e *env) *cobra.Command {
	var age time.Duration
	cmd := e.sender("cooldown ECOSYSTEM PATTERN AGE", "Keep new versions from consumers until they are so old", "is the cooldown now",
		func(ctx context.Context, c *client.Client, args []string) error {
			_, err := c.SetCooldown(ctx, args[0], args[1], age)
			return err
		})
	cmd.Long = `Keep every version in a namespace from consumers until it was published AGE ago (24h, 3d; 0 turns it off): most malicious
versions are found within hours. npm is offered the version before, and downloads are refused with the time from which they
work. The account that published a version may download it at once. 'hullmark approve' by somebody else ends it for one version.`
	cmd.Example = "  hullmark namespace cooldown npm @acme 24h"
	cmd.PreRunE = func(_ *cobra.Command, args []string) (err error) {
		if age, err = duration(args[2]); err != nil || age < 0 {
			return usageError{fmt.Errorf("%q is not an age like 24h or 3d, or 0", args[2])}
		}
		return nil
	}
	return cmd
}

func newVisibility(e *env, verb, short, visibility string) *cobra.Command {
	return e.sender(verb+" ECOSYSTEM PATTERN", short, "is "+visibility+" now",
		func(ctx context.Context, c *client.Client, args []string) error {
			_, err := c.SetVisibility(ctx, args[0], args[1], visibility)
			return err
		})
}

func newClaim(e *env) *cobra.Command {
	var org string
	var public, similar bool
	cmd := e.sender("claim ECOSYSTEM PATTERN", "Claim names that nobody owns", "is claimed",
		func(ctx context.Context, c *client.Client, args []string) error {
			n := resource.NewNamespace{Ecosystem: args[0], Pattern: args[1], AlthoughSimilar: similar}
			if public {
				n.Visibility = "public"
			}
			_, err := c.ClaimNamespace(ctx, org, n)
			return err
		})
	cmd.Long = `Claim an npm scope (@acme) or unscoped name (left-pad), an image path prefix (acme, acme/team), a PyPI, RubyGems or
NuGet name or prefix (acme-ui, acme-*, acme.*) or a Maven groupId (com.acme) for an organisation that you own. From then on
only its maintainers publish there. A groupId takes a proof of its domain first: hullmark namespace prove. A name that people
would take for another organisation's, or for a well-known public one, is refused; site administrators may overrule that.`
	cmd.Example = "  hullmark namespace claim npm @acme --org acme\n  hullmark namespace claim oci acme --org acme --public"
	cmd.Flags().StringVar(&org, "org", "", "the organisation that will own it")
	cmd.Flags().BoolVar(&public, "public", false, "let anyone read it (default: members only)")
	cmd.Flags().BoolVar(&similar, "although-similar", false, "claim a name that is like another one (site administrators)")
	cmd.PreRunE = func(*cobra.Command, []string) error { return required("--org", org) }
	return cmd
}

func newProve(e *env) *cobra.Command {
	var vouch bool
	cmd := &cobra.Command{
		Use: "prove ECOSYSTEM PATTERN", Short: "Prove that a groupId's domain is yours, by a TXT record", Args: exactArgs("ECOSYSTEM", "PATTERN"),
		Example: "  hullmark namespace prove maven com.acme",
		Long: `Look for the TXT record that proves the domain of a groupId, and say what it must be. It is looked for again every day; a
record that is missing for a week ends publishing. Where a domain takes no record (io.github.alice) a site administrator
may vouch for it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			p, err := c.NamespaceProof(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			if !p.Valid || vouch {
				e.say("%s  TXT  %q", p.Domain, p.Record)
				if p, err = c.ProveNamespace(cmd.Context(), args[0], args[1], vouch); err != nil {
					return err
				}
			}
			return e.printer().Print(p, func(out *output.Printer) {
				out.Line("%s is proved by %s", args[1], cmp.Or(p.VouchedBy, p.Domain))
			})
		},
	}
	cmd.Flags().BoolVar(&vouch, "vouch", false, "give your word in place of the record (site administrators)")
	return cmd
}

func newOffer(e *env) *cobra.Command {
	cmd := e.sender("offer ECOSYSTEM PATTERN ORGANISATION", "Offer a namespace to another organisation", "is offered for 7 days",
		func(ctx context.Context, c *client.Client, args []string) error {
			return c.OfferNamespace(ctx, args[0], args[1], args[2])
		})
	cmd.Long = `Offer a namespace to another organisation. Nothing changes until one of its owners takes it with 'hullmark namespace accept'.
Then the roles that were given on single names in it end, and so do its trusted publishers and the proof of its domain.`
	cmd.Example = "  hullmark namespace offer npm @acme rivals"
	return cmd
}

func newAccept(e *env) *cobra.Command {
	return e.sender("accept ECOSYSTEM PATTERN ORGANISATION", "Take over a namespace that was offered to your organisation", "is yours now",
		func(ctx context.Context, c *client.Client, args []string) error {
			return c.AcceptNamespace(ctx, args[2], args[0], args[1])
		})
}

func newNamespaceList(e *env) *cobra.Command {
	return lister(e, "list", "List the namespaces of your organisations",
		func(ctx context.Context, c *client.Client, _ []string) ([]resource.Namespace, error) {
			organisations, err := c.Organisations(ctx)
			var found []resource.Namespace
			for _, o := range organisations {
				of, oerr := c.Namespaces(ctx, o.Name)
				if oerr != nil {
					return nil, oerr
				}
				found = append(found, of...)
			}
			return found, err
		},
		[]string{"ECOSYSTEM", "PATTERN", "ORGANISATION", "VISIBILITY", "COOLDOWN"},
		func(n resource.Namespace) []string {
			return []string{n.Ecosystem, n.Pattern, n.Organisation, n.Visibility, cmp.Or(n.Cooldown, "off")}
		})
}
