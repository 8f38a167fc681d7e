/** The rows of each resource. Written by `rowcast types --lang ts`. */
export type Schema = {
  comments: {
    Row: {
      id: number;
      organization_id: number;
      ticket_id: number;
      user_id: number | null;
      body: string;
      private: boolean;
      created_at: string;
      updated_at: string;
    };
    Insert: {
      id?: number;
      organization_id?: number;
      ticket_id: number;
      user_id?: number | null;
      body: string;
      private?: boolean;
      created_at?: string;
      updated_at?: string;
    };
    Update: {
      id?: number;
      organization_id?: number;
      ticket_id?: number;
      user_id?: number | null;
      body?: string;
      private?: boolean;
      created_at?: string;
      updated_at?: string;
    };
  };
  contacts: {
    Row: {
      id: number;
      organization_id: number;
      email: string | null;
      name: string;
      company: string | null;
      phone: string | null;
      plan: string;
      payments: unknown;
      created_at: string;
      updated_at: string;
    };
    Insert: {
      id?: number;
      organization_id?: number;
      email?: string | null;
      name?: string;
      company?: string | null;
      phone?: string | null;
      plan?: string;
      payments?: unknown;
      created_at?: string;
      updated_at?: string;
    };
    Update: {
      id?: number;
      organization_id?: number;
      email?: string | null;
      name?: string;
      company?: string | null;
      phone?: string | null;
      plan?: string;
      payments?: unknown;
      created_at?: string;
      updated_at?: string;
    };
  };
  events: {
    Row: {
      id: number;
      organization_id: number;
      ticket_id: number;
      user_id: number | null;
      kind: string;
      data: unknown;
      private: boolean;
      created_at: string;
      updated_at: string;
    };
    Insert: {
      id?: number;
      organization_id?: number;
      ticket_id: number;
      user_id?: number | null;
      kind: string;
      data?: unknown;
      private?: boolean;
      created_at?: string;
      updated_at?: string;
    };
    Update: {
      id?: number;
      organization_id?: number;
      ticket_id?: number;
      user_id?: number | null;
      kind?: string;
      data?: unknown;
      private?: boolean;
      created_at?: string;
      updated_at?: string;
    };
  };
  labels: {
    Row: {
      id: number;
      organization_id: number;
      name: string;
      color: string;
      created_at: string;
      updated_at: string;
    };
    Insert: {
      id?: number;
      organization_id?: number;
      name: string;
      color?: string;
      created_at?: string;
      updated_at?: string;
    };
    Update: {
      id?: number;
      organization_id?: number;
      name?: string;
      color?: string;
      created_at?: string;
      updated_at?: string;
    };
  };
  mailboxes: {
    Row: {
      id: number;
      organization_id: number;
      email: string;
      name: string;
      private: boolean;
      created_at: string;
      updated_at: string;
    };
    Insert: {
      id?: number;
      organization_id?: number;
      email: string;
      name?: string;
      private?: boolean;
      created_at?: string;
      updated_at?: string;
    };
    Update: {
      id?: number;
      organization_id?: number;
      email?: string;
      name?: string;
      private?: boolean;
      created_at?: string;
      updated_at?: string;
    };
  };
  messages: {
    Row: {
      id: number;
      organization_id: number;
      ticket_id: number;
      user_id: number | null;
      direction: string;
      body: string;
      private: boolean;
      created_at: string;
      updated_at: string;
    };
    Insert: {
      id?: number;
      organization_id?: number;
      ticket_id: number;
      user_id?: number | null;
      direction?: string;
      body: string;
      private?: boolean;
      created_at?: string;
      updated_at?: string;
    };
    Update: {
      id?: number;
      organization_id?: number;
      ticket_id?: number;
      user_id?: number | null;
      direction?: string;
      body?: string;
      private?: boolean;
      created_at?: string;
      updated_at?: string;
    };
  };
  notes: {
    Row: {
      id: number;
      organization_id: number;
      ticket_id: number;
      user_id: number | null;
      body: string;
      pinned: boolean;
      private: boolean;
      created_at: string;
      updated_at: string;
    };
    Insert: {
      id?: number;
      organization_id?: number;
      ticket_id: number;
      user_id?: number | null;
      body: string;
      pinned?: boolean;
      private?: boolean;
      created_at?: string;
      updated_at?: string;
    };
    Update: {
      id?: number;
      organization_id?: number;
      ticket_id?: number;
      user_id?: number | null;
      body?: string;
      pinned?: boolean;
      private?: boolean;
      created_at?: string;
      updated_at?: string;
    };
  };
  ticket_labels: {
    Row: {
      organization_id: number;
      ticket_id: number;
      label_id: number;
      private: boolean;
      created_at: string;
      updated_at: string;
    };
    Insert: {
      organization_id?: number;
      ticket_id: number;
      label_id: number;
      private?: boolean;
      created_at?: string;
      updated_at?: string;
    };
    Update: {
      organization_id?: number;
      ticket_id?: number;
      label_id?: number;
      private?: boolean;
      created_at?: string;
      updated_at?: string;
    };
  };
  ticket_members: {
    Row: {
      organization_id: number;
      ticket_id: number;
      user_id: number;
      private: boolean;
      created_at: string;
      updated_at: string;
    };
    Insert: {
      organization_id?: number;
      ticket_id: number;
      user_id: number;
      private?: boolean;
      created_at?: string;
      updated_at?: string;
    };
    Update: {
      organization_id?: number;
      ticket_id?: number;
      user_id?: number;
      private?: boolean;
      created_at?: string;
      updated_at?: string;
    };
  };
  tickets: {
    Row: {
      id: number;
      organization_id: number;
      mailbox_id: number | null;
      contact_id: number | null;
      assignee_id: number | null;
      subject: string;
      status: string;
      priority: string;
      private: boolean;
      created_at: string;
      updated_at: string;
    };
    Insert: {
      id?: number;
      organization_id?: number;
      mailbox_id?: number | null;
      contact_id?: number | null;
      assignee_id?: number | null;
      subject: string;
      status?: string;
      priority?: string;
      private?: boolean;
      created_at?: string;
      updated_at?: string;
    };
    Update: {
      id?: number;
      organization_id?: number;
      mailbox_id?: number | null;
      contact_id?: number | null;
      assignee_id?: number | null;
      subject?: string;
      status?: string;
      priority?: string;
      private?: boolean;
      created_at?: string;
      updated_at?: string;
    };
  };
  users: {
    Row: {
      id: number;
      organization_id: number;
      email: string;
      name: string;
      role: string;
      active: boolean;
      created_at: string;
      updated_at: string;
    };
    Insert: {
      id?: number;
      organization_id?: number;
      email: string;
      name?: string;
      role?: string;
      active?: boolean;
      created_at?: string;
      updated_at?: string;
    };
    Update: {
      id?: number;
      organization_id?: number;
      email?: string;
      name?: string;
      role?: string;
      active?: boolean;
      created_at?: string;
      updated_at?: string;
    };
  };
};

/** The key of each resource. */
export const keys = {
  comments: ["id"],
  contacts: ["id"],
  events: ["id"],
  labels: ["id"],
  mailboxes: ["id"],
  messages: ["id"],
  notes: ["id"],
  ticket_labels: ["ticket_id", "label_id"],
  ticket_members: ["ticket_id", "user_id"],
  tickets: ["id"],
  users: ["id"],
};
