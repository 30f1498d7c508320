package resource

import "time"

// User is somebody who can hold a role.
type User struct {
	Name    string    `json:"name"`
	Admin   bool      `json:"admin"`
	Created time.Time `json:"created"`
}

// NewUser asks for a user. Without a password they log in by tokens alone.
type NewUser struct {
	Name     string `json:"name"`
	Password string `json:"password,omitempty"`
}

// Organisation owns namespaces.
type Organisation struct {
	Name      string     `json:"name"`
	Created   *time.Time `json:"created,omitempty"`
	CreatedBy string     `json:"createdBy,omitempty"`
	Role      string     `json:"role,omitempty"` // the caller's
}

// NewOrganisation asks for an organisation.
type NewOrganisation struct {
	Name string `json:"name"`
}

// Member is a user with a role.
type Member struct {
	Account string `json:"account"`
	Role    string `json:"role"`
}

// NewMember gives a role.
type NewMember struct {
	Role string `json:"role"`
}

// Namespace is owned by an organisation.
type Namespace struct {
	Ecosystem    string `json:"ecosystem"`
	Pattern      string `json:"pattern"`
	Organisation string `json:"organisation"`
	Visibility   string `json:"visibility"`
	Cooldown     string `json:"cooldown,omitempty"` // as time.ParseDuration reads it; empty is off
}

// NewNamespace claims a namespace; without a visibility it is private.
type NewNamespace struct {
	Ecosystem  string `json:"ecosystem"`
	Pattern    string `json:"pattern"`
	Visibility string `json:"visibility,omitempty"`
	// AlthoughSimilar lets a site administrator claim a name that is like another one.
	AlthoughSimilar bool `json:"althoughSimilar,omitempty"`
}

// NamespaceProof is the state of the proof of a namespace that is a domain.
type NamespaceProof struct {
	Domain    string    `json:"domain"` // needs a TXT record
	Record    string    `json:"record"` // that says this
	Valid     bool      `json:"valid"`  // the namespace may be published to
	Proven    time.Time `json:"proven,omitzero"`
	Missing   time.Time `json:"missing,omitzero"`
	VouchedBy string    `json:"vouchedBy,omitempty"`
}

// ProveNamespace asks for the record to be looked for, or gives a site administrator's word instead.
type ProveNamespace struct {
	Vouch bool `json:"vouch,omitempty"`
}

// SigningKey is a public key that signatures of a namespace's files are checked with.
type SigningKey struct {
	Fingerprint string    `json:"fingerprint"`
	Identity    string    `json:"identity,omitempty"` // as the key itself says
	Public      string    `json:"public"`             // armored
	AddedBy     string    `json:"addedBy"`
	Added       time.Time `json:"added"`
}

// NewSigningKey pins a key.
type NewSigningKey struct {
	Public string `json:"public"` // one OpenPGP key, armored
}

// NamespaceOffer offers a namespace to another organisation.
type NamespaceOffer struct {
	Organisation string `json:"organisation"`
}

// NamespaceSettings changes a namespace; what is empty stays.
type NamespaceSettings struct {
	Visibility string `json:"visibility,omitempty"`
	Cooldown   string `json:"cooldown,omitempty"` // as time.ParseDuration reads it; "0" is off
}

// Token describes a token without its secret.
type Token struct {
	ID          string     `json:"id"`
	Account     string     `json:"account"`
	Description string     `json:"description,omitempty"`
	Ecosystem   string     `json:"ecosystem,omitempty"` // empty: every one
	Names       []string   `json:"names,omitempty"`     // glob patterns; none: every name
	Permission  string     `json:"permission"`
	Networks    []string   `json:"networks,omitempty"` // CIDRs; none: everywhere
	Expires     *time.Time `json:"expires,omitempty"`  // none: never
	Created     time.Time  `json:"created"`
	LastUsed    *time.Time `json:"lastUsed,omitempty"` // none: never
	MadeBy      string     `json:"madeBy,omitempty"`
	Bypass      bool       `json:"bypass,omitempty"` // passes without a second factor where a rule permits automation
}

// NewToken asks for a token.
type NewToken struct {
	Account     string     `json:"account,omitempty"` // empty: the caller
	Description string     `json:"description,omitempty"`
	Ecosystem   string     `json:"ecosystem,omitempty"`
	Names       []string   `json:"names,omitempty"`
	Permission  string     `json:"permission"`
	Networks    []string   `json:"networks,omitempty"`
	Expires     *time.Time `json:"expires,omitempty"`
	Bypass      bool       `json:"bypass,omitempty"`
}

// CreatedToken is a new token with its secret, which is not shown again.
type CreatedToken struct {
	Secret string `json:"secret"`
	Token  Token  `json:"token"`
}
