// Near miss `probabilities_rounded` of `bf16_softmax_in_float`: A cast to integers is more than a cast.
// Left alone: probabilities_changed
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %int-1 = torch.constant.int -1
    %int-2 = torch.constant.int -2
    %0 = torch.aten.transpose.int %arg0, %int-1, %int-2 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,40,63],f32>
    %1 = torch.aten.matmul %arg1, %0 : !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,40,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %none = torch.constant.none
    %2 = torch.aten.softmax.int %1, %int-1, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4,63,63],f32>
    %int15 = torch.constant.int 15
    %3 = torch.aten.mul.Scalar %2, %int15 : !torch.vtensor<[2,4,63,63],f32>, !torch.int -> !torch.vtensor<[2,4,63,63],f32>
    %int3 = torch.constant.int 3
    %false = torch.constant.bool false
    %4 = torch.aten.to.dtype %3, %int3, %false, %false, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,4,63,63],si32>
    %int6 = torch.constant.int 6
    %5 = torch.aten.to.dtype %4, %int6, %false, %false, %none : !torch.vtensor<[2,4,63,63],si32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,4,63,63],f32>
    %6 = torch.aten.matmul %5, %arg2 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,63,40],f32> -> !torch.vtensor<[2,4,63,40],f32>
    return %6 : !torch.vtensor<[2,4,63,40],f32>
  }
}
