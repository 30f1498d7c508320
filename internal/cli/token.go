package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/cli/output"
)

func newToken(e *env) *cobra.Command {
	return group("token", "Access tokens", "account",
		newTokenCreate(e),
		lister(e, "list", "List your tokens; secrets are not kept and not shown",
			func(ctx context.Context, c *client.Client, _ []string) ([]resource.Token, error) {
				return c.Tokens(ctx)
			},
			[]string{"ID", "DESCRIPTION", "SCOPE", "EXPIRES", "LAST USED"}, tokenRow),
		e.sender("revoke ID", "Revoke a token; the next request with it is refused", "revoked",
			func(ctx context.Context, c *client.Client, args []string) error { return c.RevokeToken(ctx, args[0]) }))
}

func tokenRow(t resource.Token) []string {
	scope := strings.TrimSpace(fmt.Sprintf("%s %s %s", t.Permission, t.Ecosystem, strings.Join(t.Names, " ")))
	return []string{t.ID, t.Description, scope, day(t.Expires, "never"), day(t.LastUsed, "never")}
}

func day(t *time.Time, none string) string {
	if t == nil {
		return none
	}
	return t.Format("2006-01-02 15:04")
}

func newTokenCreate(e *env) *cobra.Command {
	var t resource.NewToken
	var expires string
	cmd := asker(e, "create", "Make a token and print its secret, once",
		func(ctx context.Context, c *client.Client, _ []string) (resource.CreatedToken, error) {
			made, err := c.CreateToken(ctx, t)
			if err == nil {
				e.say("token %s for %s, expires %s", made.Token.ID, made.Token.Account, day(made.Token.Expires, "never"))
			}
			return made, err
		}, func(p *output.Printer, made resource.CreatedToken) { p.Line("%s", made.Secret) })
	cmd.Long = `Make a token and print its secret alone on standard output; it is not kept anywhere. A token can never
make one that may do more than it may itself.`
	cmd.Example = "  hullmark token create --description ci --ecosystem npm --name '@acme/*' --permission publish --expires 90d"
	cmd.PreRunE = func(*cobra.Command, []string) (err error) {
		t.Expires, err = parseExpiry(expires, time.Now())
		return err
	}
	flags := cmd.Flags()
	flags.StringVar(&t.Description, "description", "", "what it is for")
	flags.StringVar(&t.Account, "account", "", "whose it is (default: yours; another's only for site administrators)")
	flags.StringVar(&t.Ecosystem, "ecosystem", "", "npm or oci (default: all)")
	flags.StringArrayVar(&t.Names, "name", nil, "names that it reaches, as a pattern like @acme/* or acme/**; may be repeated (default: all)")
	flags.StringVar(&t.Permission, "permission", "read", "the most that it may do: read, stage, publish or own")
	flags.StringArrayVar(&t.Networks, "network", nil, "networks that it works from, as CIDR; may be repeated (default: everywhere)")
	flags.BoolVar(&t.Bypass, "bypass-2fa", false, "for automation: passes without a second factor where the rule permits it, and manages nothing")
	flags.StringVar(&expires, "expires", "90d", "after how long it ends, like 90d or 12h; 'never' for none")
	return cmd
}

// duration reads a Go duration, or a number of days: 12h, 90d.
func duration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(s)
}

// parseExpiry reads a duration that may be in days.
func parseExpiry(s string, now time.Time) (*time.Time, error) {
	if s == "never" {
		return nil, nil
	}
	d, err := duration(s)
	if err != nil || d <= 0 {
		return nil, usageError{fmt.Errorf("--expires %q is not a duration like 90d or 12h", s)}
	}
	at := now.Add(d).UTC()
	return &at, nil
}
