package resource

// Team is some members of an organisation, with roles on names that it owns.
type Team struct {
	Name        string      `json:"name"`
	Description string      `json:"description,omitempty"`
	Members     []string    `json:"members"`
	Grants      []TeamGrant `json:"grants"`
}

// TeamGrant is a team's role on a name, or on all names of a namespace.
type TeamGrant struct {
	Ecosystem string `json:"ecosystem"`
	Name      string `json:"name"`
	Role      string `json:"role"`
}

// NewTeam asks for a team.
type NewTeam struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}
