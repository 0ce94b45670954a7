// Near miss `clamp_below_column_maxima` of `clamp_of_the_other_side`: The maximum over the queries is no term of the row.
// Left alone: unsupported_score
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %0 = torch.operator "torch.aten.mT"(%arg0) : (!torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,40,63],f32> 
    %1 = torch.aten.matmul %arg1, %0 : !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,40,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %float3.000000e-01 = torch.constant.float 3.000000e-01
    %2 = torch.aten.mul.Scalar %1, %float3.000000e-01 : !torch.vtensor<[2,4,63,63],f32>, !torch.float -> !torch.vtensor<[2,4,63,63],f32>
    %int-2 = torch.constant.int -2
    %true = torch.constant.bool true
    %values, %indices = torch.aten.max.dim %2, %int-2, %true : !torch.vtensor<[2,4,63,63],f32>, !torch.int, !torch.bool -> !torch.vtensor<[2,4,1,63],f32>, !torch.vtensor<[2,4,1,63],si64>
    %int1 = torch.constant.int 1
    %3 = torch.aten.sub.Tensor %2, %values, %int1 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,1,63],f32>, !torch.int -> !torch.vtensor<[2,4,63,63],f32>
    %float-3.000000e00 = torch.constant.float -3.000000e+00
    %none = torch.constant.none
    %4 = torch.aten.clamp %3, %float-3.000000e00, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.float, !torch.none -> !torch.vtensor<[2,4,63,63],f32>
    %int-1 = torch.constant.int -1
    %5 = torch.aten.softmax.int %4, %int-1, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4,63,63],f32>
    %6 = torch.aten.matmul %5, %arg2 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,63,40],f32> -> !torch.vtensor<[2,4,63,40],f32>
    return %6 : !torch.vtensor<[2,4,63,40],f32>
  }
}
