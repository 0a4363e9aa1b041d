resource "google_container_cluster" "ml" {
  name     = "ml-production"
  location = var.region

  network    = google_compute_network.ml.id
  subnetwork = google_compute_subnetwork.nodes.id

  # Every pool is a resource of its own: a change of one never replaces the cluster.
  remove_default_node_pool = true
  initial_node_count       = 1
  deletion_protection      = true

  release_channel {
    channel = "REGULAR"
  }

  # Upgrades wait for the weekend, when fewer rollouts run.
  maintenance_policy {
    recurring_window {
      start_time = "2026-01-03T02:00:00Z"
      end_time   = "2026-01-03T10:00:00Z"
      recurrence = "FREQ=WEEKLY;BYDAY=SA,SU"
    }
  }

  # Limits of all nodes together, those of the pools below included. A pod that no pool fits gets a pool made for it.
  cluster_autoscaling {
    enabled             = true
    autoscaling_profile = "BALANCED"

    resource_limits {
      resource_type = "cpu"
      minimum       = 4
      maximum       = 1000
    }

    # In gigabytes.
    resource_limits {
      resource_type = "memory"
      minimum       = 16
      maximum       = 4000
    }

    resource_limits {
      resource_type = "nvidia-tesla-t4"
      minimum       = 0
      maximum       = 50
    }

    auto_provisioning_defaults {
      service_account = google_service_account.nodes.email
      oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
      image_type      = "COS_CONTAINERD"

      management {
        auto_repair  = true
        auto_upgrade = true
      }

      shielded_instance_config {
        enable_secure_boot          = true
        enable_integrity_monitoring = true
      }
    }
  }

  ip_allocation_policy {
    cluster_secondary_range_name  = "pods"
    services_secondary_range_name = "services"
  }

  private_cluster_config {
    enable_private_nodes    = true
    enable_private_endpoint = true
  }

  # People and CI reach the API by its name, where IAM decides. It has no public address.
  control_plane_endpoints_config {
    dns_endpoint_config {
      allow_external_traffic = true
    }
  }

  master_authorized_networks_config {
    gcp_public_cidrs_access_enabled = false
  }

  # Enforces the NetworkPolicies of the models.
  datapath_provider         = "ADVANCED_DATAPATH"
  enable_shielded_nodes     = true
  enable_legacy_abac        = false
  enable_l4_ilb_subsetting  = true
  default_max_pods_per_node = 64

  # Flow logs see traffic between pods of one node too.
  enable_intranode_visibility = true

  workload_identity_config {
    workload_pool = "${var.project_id}.svc.id.goog"
  }

  secret_manager_config {
    enabled = true
  }

  security_posture_config {
    mode               = "BASIC"
    vulnerability_mode = "VULNERABILITY_BASIC"
  }

  # No user name, password or client certificate beside IAM.
  master_auth {
    client_certificate_config {
      issue_client_certificate = false
    }
  }

  addons_config {
    # For what keeps a disk, such as Prometheus. No model does: its cache is an `emptyDir`.
    gce_persistent_disk_csi_driver_config {
      enabled = true
    }

    dns_cache_config {
      enabled = true
    }
  }

  logging_config {
    enable_components = ["SYSTEM_COMPONENTS", "WORKLOADS", "APISERVER"]
  }

  # Managed Prometheus has no PodMonitor and no PrometheusRule. The tree brings both, for a Prometheus operator.
  monitoring_config {
    enable_components = ["SYSTEM_COMPONENTS"]

    managed_prometheus {
      enabled = false
    }
  }

  resource_labels = local.labels

  # The pools have their own: these are of the pool that is made with the cluster and removed at once.
  node_config {
    service_account = google_service_account.nodes.email

    workload_metadata_config {
      mode = "GKE_METADATA"
    }

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }
  }

  lifecycle {
    # Otherwise the removed pool's configuration would be a reason to make the cluster anew.
    ignore_changes = [node_config]
  }

  depends_on = [google_project_iam_member.nodes]
}

# Argo CD, MLflow, Prometheus, Crossplane.
resource "google_container_node_pool" "system" {
  name    = "system"
  cluster = google_container_cluster.ml.id

  autoscaling {
    total_min_node_count = 2
    total_max_node_count = 6
  }

  management {
    auto_repair  = true
    auto_upgrade = true
  }

  node_config {
    machine_type    = "e2-standard-4"
    image_type      = "COS_CONTAINERD"
    service_account = google_service_account.nodes.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
    labels          = local.labels

    metadata = {
      disable-legacy-endpoints = "true"
    }

    workload_metadata_config {
      mode = "GKE_METADATA"
    }

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }
  }
}

resource "google_container_node_pool" "gpu_inference" {
  name           = "gpu-inference"
  cluster        = google_container_cluster.ml.id
  node_locations = var.gpu_zones

  # In total: `min_node_count` and `max_node_count` would count per zone.
  autoscaling {
    total_min_node_count = 1
    total_max_node_count = 20
    location_policy      = "ANY"
  }

  # A GPU node cannot migrate live, so maintenance ends it: a new one comes first.
  upgrade_settings {
    strategy        = "SURGE"
    max_surge       = 1
    max_unavailable = 0
  }

  management {
    auto_repair  = true
    auto_upgrade = true
  }

  node_config {
    machine_type    = "n1-standard-8"
    image_type      = "COS_CONTAINERD"
    service_account = google_service_account.nodes.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
    labels          = local.labels

    guest_accelerator {
      type  = "nvidia-tesla-t4"
      count = 1

      gpu_driver_installation_config {
        gpu_driver_version = "DEFAULT"
      }
    }

    # A GPU image is large: pods start while it is still being read.
    gcfs_config {
      enabled = true
    }

    metadata = {
      disable-legacy-endpoints = "true"
    }

    workload_metadata_config {
      mode = "GKE_METADATA"
    }

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }

    # GKE would set it too; written down, so that a plan shows it.
    taint {
      key    = "nvidia.com/gpu"
      value  = "present"
      effect = "NO_SCHEDULE"
    }
  }
}
