"""Any TensorFlow image classifier -> one compiled Grad-CAM model."""
