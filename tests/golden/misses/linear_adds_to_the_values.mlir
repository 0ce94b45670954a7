// Near miss `linear_adds_to_the_values` of `linear_with_a_bias_of_keys`
// Left alone: no_value_product
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[63,40],f32>, %arg1: !torch.vtensor<[57,40],f32>, %arg2: !torch.vtensor<[57,24],f32>, %arg3: !torch.vtensor<[24],f32>) -> !torch.vtensor<[63,24],f32> {
    %none = torch.constant.none
    %0 = torch.aten.linear %arg0, %arg1, %none : !torch.vtensor<[63,40],f32>, !torch.vtensor<[57,40],f32>, !torch.none -> !torch.vtensor<[63,57],f32>
    %float1.250000e-01 = torch.constant.float 1.250000e-01
    %1 = torch.aten.mul.Scalar %0, %float1.250000e-01 : !torch.vtensor<[63,57],f32>, !torch.float -> !torch.vtensor<[63,57],f32>
    %int-1 = torch.constant.int -1
    %2 = torch.aten.softmax.int %1, %int-1, %none : !torch.vtensor<[63,57],f32>, !torch.int, !torch.none -> !torch.vtensor<[63,57],f32>
    %3 = torch.aten.numpy_T %arg2 : !torch.vtensor<[57,24],f32> -> !torch.vtensor<[24,57],f32>
    %4 = torch.aten.linear %2, %3, %arg3 : !torch.vtensor<[63,57],f32>, !torch.vtensor<[24,57],f32>, !torch.vtensor<[24],f32> -> !torch.vtensor<[63,24],f32>
    return %4 : !torch.vtensor<[63,24],f32>
  }
}
