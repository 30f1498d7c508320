package cli

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
)

func newNamespace(e *env) *cobra.Command {
	return group("namespace", "Names that organisations own: npm scopes, image path prefixes", "account",
		newClaim(e), newNamespaceList(e),
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
	var public bool
	cmd := e.sender("claim ECOSYSTEM PATTERN", "Claim names that nobody owns", "is claimed",
		func(ctx context.Context, c *client.Client, args []string) error {
			n := resource.NewNamespace{Ecosystem: args[0], Pattern: args[1]}
			if public {
				n.Visibility = "public"
			}
			_, err := c.ClaimNamespace(ctx, org, n)
			return err
		})
	cmd.Long = `Claim an npm scope (@acme), an unscoped npm name (left-pad) or an image path prefix (acme, acme/team)
for an organisation that you own. From then on only its maintainers publish there.`
	cmd.Example = "  hullmark namespace claim npm @acme --org acme\n  hullmark namespace claim oci acme --org acme --public"
	cmd.Flags().StringVar(&org, "org", "", "the organisation that will own it")
	cmd.Flags().BoolVar(&public, "public", false, "let anyone read it (default: members only)")
	cmd.PreRunE = func(*cobra.Command, []string) error { return required("--org", org) }
	return cmd
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
