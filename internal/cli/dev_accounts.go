package cli

import (
	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/app"
)

// accountFlags are the flags of account.Settings; 0 is the default there, and a negative duration off.
func accountFlags(cmd *cobra.Command, c *app.Config) {
	flags := cmd.Flags()
	flags.DurationVar(&c.Accounts.Freeze, "publish-freeze", 0, "how long an account publishes nothing after its password, address or factors changed (default 24h; negative: not at all)")
	flags.DurationVar(&c.Accounts.UnusedAfter, "unused-tokens", 0, "after how long a token that nobody uses is revoked (default 2160h; negative: never)")
	flags.DurationVar(&c.Accounts.TokenExpiry, "token-expiry", 0, "how long a token lives whose maker named no end (default: for ever)")
	flags.StringToStringVar(&c.SecretScanners, "secret-scanner", nil, "who may report leaked secrets: KEYID=FILE, the scanner's public key in PEM; may be repeated")
}

// reportFlags are whom people tell of what is wrong, and what follows at once.
func reportFlags(cmd *cobra.Command, c *app.Config) {
	flags := cmd.Flags()
	flags.StringVar(&c.Contact, "security-contact", "", "mail address or page that /.well-known/security.txt names (default: no such file)")
	flags.StringVar(&c.Rules, "security-policy", "", "page with the terms for who reports vulnerabilities, safe harbour among them")
	flags.IntVar(&c.Reports.QuarantineAt, "quarantine-at", 0, "weight of reports, by two people at least, that stops a release until an administrator has looked (default: never)")
}
