resource "google_compute_network" "ml" {
  name                    = "ml-production"
  auto_create_subnetworks = false

  depends_on = [google_project_service.needed]
}

resource "google_compute_subnetwork" "nodes" {
  name          = "ml-production-nodes"
  network       = google_compute_network.ml.id
  region        = var.region
  ip_cidr_range = "10.0.0.0/20"

  # Nodes have no public address: this is how they reach buckets.
  private_ip_google_access = true

  secondary_ip_range {
    range_name    = "pods"
    ip_cidr_range = "10.4.0.0/14"
  }

  secondary_ip_range {
    range_name    = "services"
    ip_cidr_range = "10.8.0.0/20"
  }

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.1
    metadata             = "EXCLUDE_ALL_METADATA"
  }
}

# Outgoing only, for images and packages outside Google.
resource "google_compute_router" "nat" {
  name    = "ml-production"
  network = google_compute_network.ml.id
  region  = var.region
}

resource "google_compute_router_nat" "nodes" {
  name                               = "ml-production-nodes"
  router                             = google_compute_router.nat.name
  region                             = var.region
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "LIST_OF_SUBNETWORKS"

  subnetwork {
    name                    = google_compute_subnetwork.nodes.id
    source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
  }

  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}

# Private addresses of Cloud SQL and Redis, of this configuration's and of Crossplane's instances.
resource "google_compute_global_address" "managed_services" {
  name          = "ml-production-managed-services"
  network       = google_compute_network.ml.id
  purpose       = "VPC_PEERING"
  address_type  = "INTERNAL"
  prefix_length = 20
}

resource "google_service_networking_connection" "managed_services" {
  network                 = google_compute_network.ml.id
  service                 = "servicenetworking.googleapis.com"
  reserved_peering_ranges = [google_compute_global_address.managed_services.name]
}
